//! `orchestrator write`: one message, or a file of them.

use serde_json::json;
use uuid::Uuid;

use super::{import::load, read::print_line, target_of};
use crate::{
    cli::WriteArgs,
    error::{Error, Result},
    import::{self, Reading},
};
use message_store_client::database::{Database, NewMessage};

pub(super) async fn write(args: WriteArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    match &args.from {
        Some(file) => {
            let reading = Reading {
                skip_lines: args.skip_lines,
                keep_going: false,
            };
            load(&target, file, reading).await
        }
        None => {
            let message = one_message(args)?;
            let position = Database::open(&target, 1)?.write_message(&message).await?;
            let written =
                json!({ "id": message.id, "stream": message.stream, "position": position });
            print_line(&written).map(|_| ())
        }
    }
}

fn one_message(args: WriteArgs) -> Result<NewMessage> {
    let bad = |origin: &str, problem: String| Error::Input {
        origin: origin.to_owned(),
        problem: format!("{problem}; nothing is written"),
    };
    let stream = args.stream.unwrap_or_default();
    let message_type = args.message_type.unwrap_or_default();
    import::check_names(&stream, &message_type).map_err(|problem| bad("message", problem))?;
    let data =
        import::parse_json(&args.data).map_err(|problem| bad("DATA is not JSON", problem))?;
    let metadata = args
        .metadata
        .map(|text| {
            import::parse_json(&text).map_err(|problem| bad("--metadata is not JSON", problem))
        })
        .transpose()?;
    Ok(NewMessage {
        id: args.id.unwrap_or_else(Uuid::new_v4).to_string(),
        stream,
        message_type,
        data: Some(data),
        metadata,
        expected_version: args.expected_version,
    })
}
