-- Functions of ours as trigger, cast, operator, default: none takes the place of another type.
-- m fails 42P17
CREATE TABLE m.x (y int); CREATE TRIGGER t BEFORE INSERT ON m.x FOR EACH ROW EXECUTE FUNCTION message_store.create_store();
