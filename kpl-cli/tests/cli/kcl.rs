//! `kpl kcl`: what `init` writes, what `run` finds wrong, and how it starts Java.

use std::fs;
use std::process::Command;

use crate::support::{Directory, Run, command, run};

/// `kpl kcl` in a folder, in an environment that does not say anything about AWS or Java.
fn kcl(folder: &Directory, arguments: &[&str]) -> Command {
    let mut command = command();
    command.arg("kcl").args(arguments).current_dir(folder.path());
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "JAVA_HOME"] {
        command.env_remove(variable);
    }
    command.env("AWS_CONFIG_FILE", folder.path().join("no-such-file"));
    command
}

fn init(folder: &Directory, more: &[&str]) -> Run {
    let arguments = [
        "init",
        "consumer",
        "--stream",
        "clicks",
        "--application",
        "counter",
        "--executable",
        "sh -c true",
        "--region",
        "eu-central-1",
    ];
    run(kcl(folder, &arguments).args(more), b"")
}

/// Checks properties, and returns what is written about them.
fn checked(properties: &str) -> Vec<String> {
    let folder = Directory::new();
    folder.file("p", properties);
    // Without Java nothing is started, whatever the properties are.
    let run = run(&mut kcl(&folder, &["run", "p", "--java", "./no-java"]), b"");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    let mut lines: Vec<_> = run.stderr.lines().map(|line| line.replacen("kpl: ", "", 1)).collect();
    let last = lines.pop().unwrap();
    assert!(
        last.contains("the daemon is not started") || last.contains("no-java"),
        "{last}"
    );
    lines
}

const RIGHT: &str = "\
executableName = sh
streamName = clicks
applicationName = counter
regionName = eu-central-1
AwsCredentialsProvider = DefaultCredentialsProvider
initialPositionInStream = TRIM_HORIZON
shutdownGraceMillis = 20000
callProcessRecordsEvenForEmptyRecordList = true
";

#[test]
fn right_properties_are_right() {
    assert_eq!(checked(RIGHT), [""; 0]);
}

/// Each line replaces that of its name in the right properties, or is added to them.
#[test]
fn every_mistake_is_named_with_its_line() {
    for (line, expected) in [
        ("executableName = ", "p:1: executableName is empty: it is the command"),
        ("executableName = ./nothing x", "/nothing: does not exist"),
        (
            "executableName = nothing-of-this-name",
            "p:1: executableName: nothing-of-this-name is not in PATH",
        ),
        ("executableName = ./p", "/p: is not executable: chmod +x"),
        ("executableName = p", "p is not in PATH"),
        ("executableName = /", "/: is not a file"),
        ("streamName = ", "p:2: streamName is empty"),
        (
            "streamName = clicks ",
            "p:2: streamName ends with white space, which is a part of the value: \"clicks \"",
        ),
        (
            "streamName = clicks # all",
            "p:2: streamName cannot have ' ' in it: \"clicks # all\"",
        ),
        ("streamArn = clicks", "p:9: streamArn is not the ARN of a stream"),
        (
            "streamArn = arn:aws:kinesis:us-east-1:111122223333:stream/clicks",
            "p:4: regionName is eu-central-1, but the stream is in us-east-1",
        ),
        ("applicationName =", "p:3: applicationName is empty"),
        ("AwsCredentialsProvider =", "p:5: AwsCredentialsProvider is empty"),
        (
            "initialPositionInStream = AT_TIMESTAMP",
            "p:6: initialPositionInStream must be TRIM_HORIZON or LATEST, not AT_TIMESTAMP; a time",
        ),
        (
            "shutdownGraceMillis = 0",
            "p:7: shutdownGraceMillis must be set and above 0",
        ),
        (
            "shutdownGraceMillis = 20 s",
            "p:7: shutdownGraceMillis must be a whole number, not 20 s: the daemon takes it as 0",
        ),
        (
            "callProcessRecordsEvenForEmptyRecordList = ture",
            "p:8: callProcessRecordsEvenForEmptyRecordList must be true or false, not ture",
        ),
        (
            "shutdownGraceMilis = 1",
            "p:9: the daemon does not know shutdownGraceMilis: did you mean shutdownGraceMillis?",
        ),
        ("timeoutInSeconds = 0", "p:9: timeoutInSeconds must be above 0"),
        ("timeoutInSeconds =", "p:9: timeoutInSeconds must be above 0"),
        (
            "shutdownGraceMillis =",
            "p:7: shutdownGraceMillis must be set and above 0",
        ),
        (
            "maxActiveThreads = 1",
            "p:9: maxActiveThreads: the daemon needs one thread, and two more for each shard",
        ),
        (
            "kinesisEndpoint = 127.0.0.1:4567",
            "p:9: kinesisEndpoint must start with https:// or http://: \"127.0.0.1:4567\"",
        ),
        (
            "retrievalMode = POLLING ",
            "p:9: retrievalMode must be POLLING or FANOUT or DEFAULT, not POLLING ",
        ),
        (
            "workerMetricsEMAAlpha = half",
            "p:9: workerMetricsEMAAlpha must be a number, not half",
        ),
    ] {
        let name = line.split(' ').next().unwrap();
        let mut replaced = false;
        let mut properties: String = RIGHT
            .lines()
            .map(|right| {
                let same = right.split(' ').next() == Some(name);
                replaced |= same;
                format!("{}\n", if same { line } else { right })
            })
            .collect();
        if !replaced {
            properties.push_str(line);
        }
        let found = checked(&properties);
        let error = found
            .iter()
            .any(|found| found.contains(expected) && !found.contains("warning"));
        assert!(error, "{line}: {found:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (missing, expected) in [
        ("executableName", "p: executableName is missing"),
        ("streamName", "p: streamName is missing"),
        ("applicationName", "p: applicationName is missing"),
        ("AwsCredentialsProvider", "p: AwsCredentialsProvider is missing"),
        ("regionName", "p: regionName is missing, and AWS_REGION is not set"),
        ("shutdownGraceMillis", "p: shutdownGraceMillis must be set"),
        (
            "initialPositionInStream",
            "p: warning: initialPositionInStream is missing",
        ),
        (
            "callProcessRecordsEvenForEmptyRecordList",
            "p: warning: callProcessRecordsEvenForEmptyRecordList is not true",
        ),
    ] {
        let lines = RIGHT.lines().filter(|line| !line.starts_with(missing));
        let found = checked(&lines.map(|line| format!("{line}\n")).collect::<String>());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn what_may_be_meant_is_a_warning() {
    for (line, expected) in [
        (
            "ourOwn = 1",
            "p:9: warning: the daemon does not know ourOwn, and ignores it",
        ),
        (
            "streamName = views",
            "p:2: warning: streamName is set again on line 9, which counts",
        ),
        ("maxActiveThreads = 100", "p:9: warning: maxActiveThreads"),
        (
            "workerId = k\u{e4}the",
            "p:9: warning: the daemon reads workerId in ISO 8859-1, as \"kÃ¤the\"",
        ),
        (
            "kinesisEndpoint = http://127.0.0.1:1",
            "p: warning: metrics go to CloudWatch of AWS",
        ),
        (
            "kinesisEndpoint = http://127.0.0.1:1",
            "p:9: warning: kinesisEndpoint is set, but dynamoDBEndpoint is not",
        ),
    ] {
        let found = checked(&format!("{RIGHT}{line}"));
        assert!(found.iter().any(|found| found.starts_with(expected)), "{found:?}");
        assert!(found.iter().all(|found| found.contains("warning")), "{found:?}");
    }
}

#[test]
fn the_region_may_come_from_the_environment() {
    let folder = Directory::new();
    let lines = RIGHT.lines().filter(|line| !line.starts_with("regionName"));
    let properties: String = lines.map(|line| format!("{line}\n")).collect();
    folder.file("p", &properties);
    folder.file("config", "[profile other]\nregion = eu-central-1\n");
    let said = |variables: &[(&str, &str)]| {
        let mut command = kcl(&folder, &["run", "p", "--java", "./no-java"]);
        let config = folder.path().join("config");
        command.env("AWS_CONFIG_FILE", config).envs(variables.iter().copied());
        run(&mut command, b"").stderr
    };
    for variables in [[("AWS_REGION", "eu-central-1")], [("AWS_PROFILE", "other")]] {
        assert!(!said(&variables).contains("region"), "{}", said(&variables));
    }
    assert!(said(&[]).contains("p: regionName is missing, and AWS_REGION is not set"));
    assert!(said(&[("AWS_DEFAULT_REGION", "x")]).contains("does not look at AWS_DEFAULT_REGION, which is x"));
}

#[cfg(unix)]
#[test]
fn an_executable_beside_the_properties_is_not_found_from_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Directory::new();
    assert_eq!(init(&folder, &[]).code, 0);
    let (file, program) = ("consumer/app.properties", "consumer/processor");
    let properties = fs::read_to_string(folder.path().join(file)).unwrap();
    let program = folder.file(program, "");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, expected) in [
        (
            "./processor",
            "./processor: does not exist. It is in the folder of the properties, but",
        ),
        (
            "processor",
            "processor is not in PATH. There is a file of this name: write ./processor",
        ),
    ] {
        folder.file(file, properties.replace("sh -c true", name));
        let told = run(&mut kcl(&folder, &["run", file]), b"").stderr;
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn init_writes_what_run_takes_and_does_not_replace_files() {
    let folder = Directory::new();
    let first = init(&folder, &[]);
    let names = ["consumer/app.properties", "consumer/pom.xml", "consumer/logback.xml"];
    assert_eq!(
        (first.code, first.stdout.lines().collect::<Vec<_>>()),
        (0, names.to_vec()),
        "{first:?}"
    );
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(
        names.iter().all(|name| !text(name).contains('@')),
        "a mark was not filled in"
    );
    assert!(text(names[1]).contains("<version>3.1.3</version>"));

    folder.file(names[0], "mine");
    fs::remove_file(folder.path().join(names[1])).unwrap();
    let second = init(&folder, &[]);
    let problem =
        "kpl: consumer/app.properties and consumer/logback.xml: would be replaced; --force replaces the files\n";
    assert_eq!((second.code, second.stderr.as_str()), (2, problem));
    assert_eq!(text(names[0]), "mine");
    assert!(!folder.path().join(names[1]).exists());
    assert_eq!(init(&folder, &["--force"]).code, 0);
    assert!(text(names[0]).contains("streamName = clicks"));
}

#[test]
fn empty_lines_of_init_are_to_be_filled_in() {
    let folder = Directory::new();
    assert_eq!(run(&mut kcl(&folder, &["init", "."]), b"").code, 0);
    let told = run(&mut kcl(&folder, &["run", "app.properties"]), b"").stderr;
    for problem in [
        "executableName is empty",
        "streamName is empty",
        "applicationName is empty",
        "regionName is missing",
    ] {
        assert!(told.contains(problem), "{told}");
    }
    assert!(
        told.ends_with("app.properties: the daemon is not started: 4 mistakes\n"),
        "{told}"
    );
}

#[cfg(unix)]
mod java {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program that says it is a version of Java, and else writes its process ID and its arguments.
    fn java(folder: &Directory, version: &str) -> String {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = -version ] && {{ echo 'openjdk version \"{version}\"' >&2; exit; }}\necho $$; printf '%s\\n' \"$@\"\n"
        );
        let java = folder.file("java", script);
        fs::set_permissions(&java, fs::Permissions::from_mode(0o755)).unwrap();
        java
    }

    fn jars(folder: &Directory, name: &str, versions: &[&str]) {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        for version in versions {
            folder.file(&format!("{name}/amazon-kinesis-client-multilang-{version}.jar"), "");
        }
    }

    const CLASS: &str = "software.amazon.kinesis.multilang.MultiLangDaemon";

    #[test]
    fn the_printed_command_is_the_one_that_is_started() {
        let folder = Directory::new();
        let java = java(&folder, "17.0.15");
        assert_eq!(init(&folder, &["--endpoint", "http://127.0.0.1:1"]).code, 0);
        jars(&folder, "it's jars", &["3.1.3"]);
        let arguments = ["run", "consumer/app.properties", "--java", &java, "--jars", "it's jars"];
        let more = ["--print", "--", "-Dx=a b"];
        let printed = run(kcl(&folder, &arguments).args(more), b"");
        assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{printed:?}");
        let expected = [
            "-Dx=a b",
            "-Daws.cborEnabled=false",
            "-cp",
            "it's jars/*",
            CLASS,
            "--properties-file",
            "./consumer/app.properties",
            "--log-configuration",
            "consumer/logback.xml",
        ];
        let pasted = run(
            Command::new("sh")
                .args(["-c", &printed.stdout])
                .current_dir(folder.path()),
            b"",
        );
        assert_eq!(pasted.stdout.lines().skip(1).collect::<Vec<_>>(), expected);

        let child = kcl(&folder, &arguments)
            .args(["--", "-Dx=a b"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id().to_string();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let expected: Vec<_> = [id.as_str()].into_iter().chain(expected).collect();
        assert_eq!(
            output.lines().collect::<Vec<_>>(),
            expected,
            "Java has the process ID of kpl"
        );
    }

    #[test]
    fn java_and_the_jars_are_checked() {
        let folder = Directory::new();
        assert_eq!(init(&folder, &[]).code, 0);
        let file = "consumer/app.properties";
        let said = |more: &[&str]| {
            let run = run(kcl(&folder, &["run", file, "--print"]).args(more), b"");
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
            run.stderr
        };
        let told = said(&["--java", "./none"]);
        assert!(
            told.starts_with("kpl: ./none, of --java, cannot be started: No such file"),
            "{told}"
        );
        let old = java(&folder, "1.7.0_80");
        let told = said(&["--java", &old]);
        assert!(told.contains("is Java 7; the daemon needs Java 8 or later"), "{told}");
        let java = java(&folder, "1.8.0_392");
        let told = said(&["--java", &java]);
        assert!(
            told.starts_with("kpl: consumer/jars: the folder of the jars does not exist: --fetch"),
            "{told}"
        );
        jars(&folder, "empty", &[]);
        let told = said(&["--java", &java, "--jars", "empty"]);
        assert!(
            told.starts_with("kpl: empty: does not have amazon-kinesis-client-multilang-*.jar"),
            "{told}"
        );
        jars(&folder, "two", &["2.5.4", "3.1.3"]);
        let told = said(&["--java", &java, "--jars", "two"]);
        assert!(
            told.starts_with("kpl: two: has more than one version of the daemon, 2.5.4 and 3.1.3"),
            "{told}"
        );
        jars(&folder, "old", &["2.5.4"]);
        let told = said(&["--java", &java, "--jars", "old"]);
        assert!(
            told.contains("the daemon 2.5.4 does not know AwsCredentialsProvider; it is AWSCredentialsProvider there"),
            "{told}"
        );

        let right = fs::read_to_string(folder.path().join(file)).unwrap();
        let old = "AWSCredentialsProvider = DefaultAWSCredentialsProviderChain";
        folder.file(
            file,
            right.replace(
                "\nAwsCredentialsProvider = DefaultCredentialsProvider",
                &format!("\n{old}"),
            ),
        );
        let of_2 = run(
            &mut kcl(&folder, &["run", file, "--print", "--java", &java, "--jars", "old"]),
            b"",
        );
        assert_eq!((of_2.code, of_2.stderr.as_str()), (0, ""));
        jars(&folder, "new", &["3.1.3"]);
        let told = said(&["--java", &java, "--jars", "new"]);
        assert!(
            told.contains(
                "the daemon 3.1.3 does not know DefaultAWSCredentialsProviderChain; DefaultCredentialsProvider"
            ),
            "{told}"
        );
    }

    #[test]
    fn maven_fetches_the_jars_beside_the_properties() {
        let folder = Directory::new();
        let java = java(&folder, "21");
        assert_eq!(init(&folder, &[]).code, 0);
        fs::create_dir(folder.path().join("bin")).unwrap();
        let maven = folder.file(
            "bin/mvn",
            "#!/bin/sh\nfor last; do :; done\nfolder=${last#-DoutputDirectory=}\nmkdir -p \"$folder\"\n\
             touch \"$folder/amazon-kinesis-client-multilang-3.1.3.jar\"\necho \"$@\"\n",
        );
        fs::set_permissions(maven, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!(
            "{}:{}",
            folder.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let arguments = ["run", "consumer/app.properties", "--java", &java, "--fetch", "--print"];
        let fetched = run(kcl(&folder, &arguments).env("PATH", path), b"");
        assert_eq!(fetched.code, 0, "{fetched:?}");
        assert_eq!(
            fetched.stdout.lines().count(),
            1,
            "what Maven writes goes to standard error: {fetched:?}"
        );
        assert!(fetched.stdout.contains("-cp 'consumer/jars/*'"), "{fetched:?}");
        let told = "--quiet --batch-mode --file consumer/pom.xml dependency:copy-dependencies -DincludeScope=runtime";
        assert!(fetched.stderr.starts_with(told), "{fetched:?}");

        let without_maven = folder.path().join("sh-only");
        fs::create_dir(&without_maven).unwrap();
        std::os::unix::fs::symlink("/bin/sh", without_maven.join("sh")).unwrap();
        let none = run(kcl(&folder, &arguments).env("PATH", without_maven), b"");
        assert_eq!(none.code, 2);
        assert!(
            none.stderr.contains("mvn, which --fetch needs, cannot be started"),
            "{none:?}"
        );
        fs::remove_file(folder.path().join("consumer/pom.xml")).unwrap();
        let none = run(&mut kcl(&folder, &arguments), b"");
        assert!(
            none.stderr
                .contains("consumer/pom.xml does not exist: `kpl kcl init` writes it"),
            "{none:?}"
        );
    }
}
