//! The functions of the schema as the catalog holds them, and what they are called with.

use promises::{Random, literal};

use super::values::*;
use super::wire::{Parameter, Wire};

/// A function or procedure.
pub struct Function {
    /// Its name and argument types.
    pub signature: String,
    name: String,
    /// Whether it is called rather than selected.
    pub is_procedure: bool,
    defaults: usize,
    arguments: Vec<Argument>,
}

struct Argument {
    name: String,
    type_name: String,
    type_oid: u32,
}

impl Function {
    /// All of the schema.
    pub fn all(admin: &mut Wire) -> Vec<Self> {
        let rows = admin.rows(
            "SELECT oid::regprocedure, proname, prokind = 'p', pronargdefaults,
               (SELECT string_agg(concat_ws(':', coalesce(proargnames[n], ''), format_type(t, NULL), t),
                  ',' ORDER BY n)
                FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n))
             FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace
             ORDER BY oid::regprocedure::text",
        );
        let functions: Vec<Self> = rows.unwrap().iter().map(|row| Self::read(row)).collect();
        assert!(functions.len() > 45);
        functions
    }

    fn read(row: &[Option<String>]) -> Self {
        let text = |number: usize| row[number].clone().unwrap_or_default();
        let argument = |one: &str| {
            let parts: Vec<&str> = one.splitn(3, ':').collect();
            Argument {
                name: parts[0].to_owned(),
                type_name: parts[1].to_owned(),
                type_oid: parts[2].parse().unwrap(),
            }
        };
        let arguments = text(4);
        Self {
            signature: text(0),
            name: text(1),
            is_procedure: text(2) == "t",
            defaults: text(3).parse().unwrap(),
            arguments: arguments
                .split(',')
                .filter(|one| !one.is_empty())
                .map(argument)
                .collect(),
        }
    }

    /// A call of it by `role`, as it stands in SQL.
    pub fn call(&self, role: &str, random: &mut Random) -> String {
        // Half of the calls can be meant throughout: enough get past the checks.
        let is_friendly = random.below(2) == 0;
        let given = self.arguments.len() - below(self.defaults + 1, random);
        let is_named = random.below(4) == 0;
        let arguments = self.arguments[..given].iter().map(|argument| {
            let value = argument.value(is_friendly, random);
            match is_named && !argument.name.is_empty() {
                true => format!("\"{}\" => {value}", argument.name),
                false => value,
            }
        });
        let arguments: Vec<String> = arguments.collect();
        let call = format!("message_store.{}({})", self.name, arguments.join(", "));
        call.replace("{me}", role)
    }

    /// A call of it with parameters, and those.
    pub fn call_with_parameters(
        &self,
        role: &str,
        random: &mut Random,
    ) -> (String, Vec<Parameter>) {
        let given = self.arguments.len() - below(self.defaults + 1, random);
        let numbers: Vec<String> = (1..=given).map(|number| format!("${number}")).collect();
        let parameters = self.arguments[..given]
            .iter()
            .map(|argument| argument.parameter(role, random));
        let parameters = parameters.collect();
        let call = format!("message_store.{}({})", self.name, numbers.join(", "));
        (call, parameters)
    }
}

impl Argument {
    fn value(&self, is_friendly: bool, random: &mut Random) -> String {
        let value = match (self.type_name.as_str(), self.name.as_str()) {
            ("character varying", "condition") => return condition(is_friendly, random),
            ("jsonb", "options") => return json(&options(is_friendly, random), random),
            ("jsonb", "handlers") => {
                return json(choice(HANDLERS, is_friendly, random), random);
            }
            ("jsonb", "messages") => return json(choice(BATCHES, is_friendly, random), random),
            ("jsonb", _) => match random.below(3) {
                0 => choice(MADE_JSON, is_friendly, random),
                _ => return json(choice(JSON, is_friendly, random), random),
            },
            ("character varying", "messages") => {
                return format!(
                    "{}::text",
                    json(choice(BATCHES, is_friendly, random), random)
                );
            }
            ("bigint", "lease") => choice(LEASES, is_friendly, random),
            ("bigint", "member") => choice(MEMBERS, is_friendly, random),
            _ => choice(self.values(), is_friendly, random),
        };
        format!("{value}::{}", self.type_name)
    }

    fn values(&self) -> &'static [&'static str] {
        match (self.type_name.as_str(), self.name.as_str()) {
            ("character varying", "subscriber_id") => SUBSCRIBERS,
            ("character varying", "id") => IDS,
            ("character varying", "on_duplicate") => ON_DUPLICATE,
            ("character varying", "reason") | ("text", _) => TEXTS,
            ("character varying", "type") => TYPES,
            ("character varying", "sqlstate") => SQLSTATES,
            ("character varying", "position_stream") => POSITION_STREAMS,
            ("character varying", "category" | "source" | "correlation") => CATEGORIES,
            ("character varying", _) => STREAMS,
            ("integer", _) => PROCESSES,
            ("bigint", _) => NUMBERS,
            ("bigint[]", _) => POSITIONS,
            ("boolean", _) => BOOLEANS,
            ("interval", _) => INTERVALS,
            ("timestamp with time zone", _) => TIMES,
            ("jsonpath", _) => PATHS,
            ("uuid", _) => EPOCHS,
            ("text[]", _) => ADDRESSES,
            ("message_store.message", _) => MESSAGES,
            ("message_store.message[]", _) => RUNS,
            ("message_store.new_message[]", _) => NEW_MESSAGES,
            (other, _) => panic!("values for arguments of type {other} are missing here"),
        }
    }

    /// The argument in bytes, in text or in PostgreSQL's binary format, now and then broken.
    fn parameter(&self, role: &str, random: &mut Random) -> Parameter {
        let is_binary = random.below(2) == 0;
        let mut bytes = match (self.type_name.as_str(), is_binary) {
            ("bigint", true) => number(random).to_be_bytes().to_vec(),
            ("bigint", false) => number(random).to_string().into_bytes(),
            ("integer", true) => (number(random) as i32).to_be_bytes().to_vec(),
            ("integer", false) => b"1".to_vec(),
            ("boolean", true) => vec![u8::from(random.below(2) == 0)],
            ("boolean", false) => b"t".to_vec(),
            ("interval", true) => {
                let days = i32::try_from(random.below(3)).unwrap() - 1;
                let months = *one_of(&[0, 0, 1, i32::MIN, i32::MAX], random);
                let mut bytes = number(random).to_be_bytes().to_vec();
                bytes.extend(days.to_be_bytes());
                bytes.extend(months.to_be_bytes());
                bytes
            }
            ("interval", false) => b"1 ms".to_vec(),
            ("timestamp with time zone", true) => number(random).to_be_bytes().to_vec(),
            ("timestamp with time zone", false) => b"yesterday".to_vec(),
            ("jsonpath", _) => {
                let version = if is_binary { &b"\x01"[..] } else { b"" };
                [version, b"$.m"].concat()
            }
            ("jsonb", _) => {
                let is_friendly = random.below(2) == 0;
                let text = match self.name.as_str() {
                    "options" => options(is_friendly, random),
                    "handlers" => choice(HANDLERS, is_friendly, random).to_owned(),
                    "messages" => choice(BATCHES, is_friendly, random).to_owned(),
                    _ => choice(JSON, is_friendly, random).to_owned(),
                };
                let version = if is_binary { &b"\x01"[..] } else { b"" };
                [version, text.as_bytes()].concat()
            }
            ("character varying" | "text", _) => match self.name.as_str() {
                "subscriber_id" => b"of:{me}".to_vec(),
                "condition" => (*one_of(CONDITIONS, random)).as_bytes().to_vec(),
                "id" => format!("{:032x}", random.below(i64::MAX)).into_bytes(),
                _ => b"fuzz-1".to_vec(),
            },
            ("bigint[]", true) => {
                // Dimensions, no nulls, the type of elements; the length and the lower bound.
                let length = i32::try_from(random.below(3)).unwrap();
                let mut bytes = Vec::new();
                for part in [
                    1,
                    0,
                    20,
                    length,
                    *one_of(&[1, 5, i32::MIN, i32::MAX - 2], random),
                ] {
                    bytes.extend(part.to_be_bytes());
                }
                for _ in 0..length {
                    bytes.extend(8_i32.to_be_bytes());
                    bytes.extend(number(random).to_be_bytes());
                }
                bytes
            }
            ("message_store.message", false) => b"(x,fuzz-1,T,0,1,{},,2020-01-01)".to_vec(),
            (_, false) => b"{}".to_vec(),
            // A composite of no columns, an array of no dimensions.
            (_, true) => vec![0; 4 * below(4, random)],
        };
        if let Some(place) = bytes.windows(4).position(|four| four == b"{me}") {
            bytes.splice(place..place + 4, role.bytes());
        }
        if random.below(4) == 0 {
            let place = below(bytes.len() + 1, random);
            bytes.splice(place..place, one_of(INVALID, random).iter().copied());
        }
        Parameter {
            type_oid: self.type_oid,
            is_binary,
            bytes: (random.below(12) > 0).then_some(bytes),
        }
    }
}

fn number(random: &mut Random) -> i64 {
    *one_of(&[1, 0, 2, 10, 1000, -1, i64::MAX, i64::MIN], random)
}

/// A condition in dollar quotes, as it stands or with something put into it.
fn condition(is_friendly: bool, random: &mut Random) -> String {
    let mut text = if is_friendly {
        CONDITIONS[below(8, random)].to_owned()
    } else {
        (*one_of(CONDITIONS, random)).to_owned()
    };
    if !is_friendly && random.below(2) == 0 {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let token: &&str = one_of(TOKENS, random);
        text.insert_str(*one_of(&places, random), token);
    }
    match random.below(12) {
        0 => "NULL".to_owned(),
        1 if !is_friendly => "(repeat('(', 3000) || 'true' || repeat(')', 3000))".to_owned(),
        _ => format!("$c${text}$c$::character varying"),
    }
}

/// Options, an object.
fn options(is_friendly: bool, random: &mut Random) -> String {
    let count = below(4, random);
    let entries = (0..count).map(|_| {
        let (name, values) = one_of(OPTIONS, random);
        let value = match !is_friendly && random.below(6) == 0 {
            true => *one_of(JSON, random),
            false => choice(values, is_friendly, random),
        };
        format!("\"{name}\": {value}")
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

fn json(text: &str, random: &mut Random) -> String {
    match random.below(20) {
        0 => "NULL::jsonb".to_owned(),
        _ => format!("{}::jsonb", literal(Some(text))),
    }
}

/// One that can be meant, or any.
fn choice<'a>(values: &[&'a str], is_friendly: bool, random: &mut Random) -> &'a str {
    let among = if is_friendly {
        &values[..values.len().div_ceil(2)]
    } else {
        values
    };
    let one: &&str = one_of(among, random);
    one
}

/// Any element.
pub fn one_of<'a, T>(among: &'a [T], random: &mut Random) -> &'a T {
    &among[below(among.len(), random)]
}

/// A number below `limit`.
pub fn below(limit: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(i64::try_from(limit).unwrap())).unwrap()
}
