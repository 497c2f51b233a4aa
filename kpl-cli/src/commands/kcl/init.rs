//! `kpl kcl init`: writes a folder to start from.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::properties::escape;
use crate::arn;
use crate::problems::Stop;
use crate::terminal;

/// What the templates are for, and what the checks of `kpl kcl run` were compared with.
const DAEMON: &str = "3.1.3";

/// The last one that runs on Maven 3.6, and on Java 8.
const DEPENDENCY_PLUGIN: &str = "3.8.1";

const APP_PROPERTIES: &str = include_str!("template/app.properties");
const POM: &str = include_str!("template/pom.xml");
const LOGBACK: &str = include_str!("template/logback.xml");

/// Write a folder to start from: app.properties, pom.xml and logback.xml
///
/// app.properties has every property that matters, each explained. pom.xml names the daemon's jars. logback.xml
/// puts what the processors say on standard error into the daemon's log, with the shard. What is not given here is left empty;
/// `kpl kcl run` says which lines are to be filled in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl kcl init consumer --stream clicks --application click-counter
  kpl kcl init local --stream clicks --region us-east-1 \\
      --endpoint http://127.0.0.1:4567 --dynamodb-endpoint http://127.0.0.1:5000")]
pub(super) struct Init {
    /// The folder; it is created if it does not exist
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// The stream: its name or its ARN
    #[arg(long, value_name = "STREAM", default_value = "", hide_default_value = true)]
    stream: String,

    /// The name of the application, which is that of its table in DynamoDB
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    application: String,

    /// The command that the daemon starts for each shard
    #[arg(long, value_name = "COMMAND", default_value = "", hide_default_value = true)]
    executable: String,

    /// The region of the stream and of the table
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Where Kinesis and DynamoDB are, in place of AWS: a local server
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, requires = "region")]
    endpoint: Option<String>,

    /// Where DynamoDB is, if that is somewhere else
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, requires = "endpoint")]
    dynamodb_endpoint: Option<String>,

    /// Replace the files if they exist
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Stop> {
        let files = [
            ("app.properties", self.properties()),
            (
                "pom.xml",
                POM.replace("@daemon@", DAEMON).replace("@plugin@", DEPENDENCY_PLUGIN),
            ),
            ("logback.xml", LOGBACK.to_owned()),
        ]
        .map(|(name, text)| (self.folder.join(name), text));
        let existing: Vec<String> = files
            .iter()
            .filter(|(file, _)| file.exists())
            .map(|(file, _)| file.display().to_string())
            .collect();
        if !existing.is_empty() && !self.force {
            let existing = existing.join(" and ");
            return Err(Stop::Usage(format!(
                "{existing}: would be replaced; --force replaces the files"
            )));
        }
        let folder = &self.folder;
        fs::create_dir_all(folder).map_err(|error| Stop::Usage(format!("{}: {error}", folder.display())))?;
        let mut out = io::stdout().lock();
        for (file, text) in files {
            fs::write(&file, text).map_err(|error| Stop::Usage(format!("{}: {error}", file.display())))?;
            let file = file.display().to_string();
            let shown = match terminal::is_guarded() {
                true => terminal::escaped(&file),
                false => file.as_str().into(),
            };
            writeln!(out, "{shown}")?;
        }
        Ok(out.flush()?)
    }

    fn properties(&self) -> String {
        let stream = if self.stream.starts_with(arn::START) {
            line("#streamName", "clicks") + "\n" + &line("streamArn", &self.stream)
        } else {
            line("streamName", &self.stream) + "\n" + &line("#streamArn", arn::EXAMPLE)
        };
        let optional = |name: &str, value: Option<&String>, example: &str| match value {
            Some(value) => line(name, value),
            None => line(&format!("#{name}"), example),
        };
        let dynamodb = self.dynamodb_endpoint.as_ref().or(self.endpoint.as_ref());
        let metrics = if self.endpoint.is_some() { "NONE" } else { "SUMMARY" };
        let lines = [
            ("@daemon@", DAEMON.to_owned()),
            ("@executable@", escape(&self.executable)),
            ("@stream@", stream),
            ("@application@", escape(&self.application)),
            ("@region@", optional("regionName", self.region.as_ref(), "eu-central-1")),
            (
                "@kinesis_endpoint@",
                optional("kinesisEndpoint", self.endpoint.as_ref(), "http://127.0.0.1:4567"),
            ),
            (
                "@dynamodb_endpoint@",
                optional("dynamoDBEndpoint", dynamodb, "http://127.0.0.1:5000"),
            ),
            ("@metrics@", metrics.to_owned()),
        ];
        let mut text = String::new();
        for template in APP_PROPERTIES.lines() {
            let filled = lines.iter().find_map(|(mark, filled)| {
                let (before, after) = template.split_once(mark)?;
                Some(format!("{before}{filled}{after}"))
            });
            text.push_str(filled.as_deref().unwrap_or(template).trim_end());
            text.push('\n');
        }
        text
    }
}

fn line(name: &str, value: &str) -> String {
    format!("{name} = {}", escape(value))
}
