CREATE FUNCTION message_store.is_message_dbs(definition text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT encode(sha256(convert_to(definition, 'UTF8')), 'hex') IN (
    SELECT known.sha256 FROM (VALUES
      ('090a8c7f134fa077e391d4c897480f2700431b5613cbc68e97d6e11e6fad8d46'),
      ('2cc049ae1ca3bc64d7190926344b8997f3fbcd3cc392d51c4d1e3b2560810666'),
      ('2cd140c16cfeb15398c2b0bc0b79995be85cea6dfbbd76365f832f318d5587d5'),
      ('e5143bab7020e3a0807e030d084cbff750b1ed17149ccb7ce2c493494d5251f3'),
      ('fe54f3f11ebdf44c6f6c2e1fa8278495908682d8fb9b7347a2ff0418adfc1afa'),
      ('2dd2f1fc99e6b2527b9f50e2e4f4290ea703d9139e02b32c8decbcb17ec57e9d'),
      ('6aea2efdb85e20f8aad23077dfa3af01ffb99da7dccee0429eeacc81ad3b6e52'),
      ('4d804b324a94fb5a32a616fe778b499a09c829c07bacbbead66464f9e2b596e9'),
      ('e9f80cec97974cb6a7cb485bd97710614530d97a7818f471be18a8f830ac1280'),
      ('374b8d575f54a4c899337259d35780cd92cc4d7a1c37d6fe670e45f9e0e4533c'),
      ('1a8b758d5f2a7ab5cf4887cc1910bd366bf9a5d407dceebfc7d3df10d141ceb5'),
      ('898421c475411acee5a916ba38ca0529bd54aca30187ad04d7cd2caf00aabf92'),
      ('2c0aba0ac8ce5e052e55508e34e8f0db5e199ed6d530427d151dea4df7ff2aed'),
      ('50fe601caea66d87034cce4f11a5770db82eac3f86a039950ab633958eef7161'),
      ('543418bd769b762b3078fbf13ebd7d1435a76eab2fd84362622d3e58fe294182'),
      ('c60db2b4324b3a7cfb32607a6aa6a7b855ca84e9f85407db252f26dd9437f53f'),
      ('27a8ecd147be39d8c5aa9aa96d06841ede5efc5bb4ab5110e2ecbfe37335b746'),
      ('6372a8fbd08a2340917c625a0b0ac92080999d886948917a2cecbba1159ff922')
    ) AS known (sha256))
$$;

COMMENT ON FUNCTION message_store.is_message_dbs(text) IS
  'Whether this is the definition of a function of Message DB 1.1.6, 1.2.3, 1.2.6 or 1.3.1, as pg_get_functiondef prints it. The adoption and its reversal ask: they take and give back nothing else.';
