//! Positions in a file.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kpl_stream::reader::{FilePositions, Positions as _, StreamPositions};

/// Returns a directory of the test's own.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("file-positions-{test}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the names of all files of a directory, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn save(positions: &FilePositions, state: &str) -> Result<(), String> {
    let saved = positions.save("clicks", &states(&[("a", state)])).await;
    saved.map_err(|error| error.to_string())
}

fn states(states: &[(&str, &str)]) -> StreamPositions {
    let states = states.iter();
    let states = states.map(|(shard, state)| ((*shard).to_owned(), state.parse().unwrap()));
    StreamPositions::new(None, states.collect())
}

#[tokio::test]
async fn states_are_kept_by_stream_and_shard() {
    let folder = folder("kept");
    let path = folder.join("positions.txt");
    let positions = FilePositions::new(&path);
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[]));

    positions
        .save("clicks", &states(&[("a", "TRIM_HORIZON"), ("b", "49:3")]))
        .await
        .unwrap();
    positions
        .save("orders", &states(&[("a", "AT_TIMESTAMP 17.5")]))
        .await
        .unwrap();
    positions
        .save("clicks", &states(&[("a", "SHARD_END"), ("c", "7:0")]))
        .await
        .unwrap();

    drop(positions);
    let later = FilePositions::new(&path);
    let clicks = states(&[("a", "SHARD_END"), ("b", "49:3"), ("c", "7:0")]);
    assert_eq!(later.load("clicks").await.unwrap(), clicks);
    assert_eq!(
        later.load("orders").await.unwrap(),
        states(&[("a", "AT_TIMESTAMP 17.5")])
    );
    assert_eq!(names(&folder), ["positions.txt", "positions.txt.lock"]);
}

#[tokio::test]
async fn many_savers_lose_nothing() {
    let positions = FilePositions::new(folder("many").join("positions.txt"));
    let savers = (0..32).map(|number| {
        let positions = positions.clone();
        tokio::spawn(async move {
            let shard = format!("shard-{number}");
            positions.save("clicks", &states(&[(&shard, "1:2")])).await.unwrap();
        })
    });
    for saver in savers.collect::<Vec<_>>() {
        saver.await.unwrap();
    }
    assert_eq!(positions.load("clicks").await.unwrap().shards.len(), 32);
}

#[tokio::test]
async fn what_is_no_position_is_told_with_its_line_and_kept() {
    let path = folder("invalid").join("positions.txt");
    for (text, named) in [
        (
            "clicks a 1:2\nclicks b",
            "line 2 is not STREAM SHARD STATE, but \"clicks b\"",
        ),
        ("clicks a 1:x\n", "line 1: a shard's state"),
    ] {
        fs::write(&path, text).unwrap();
        let positions = FilePositions::new(&path);
        let error = positions.load("clicks").await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("positions.txt"), "{error}");
        positions.save("clicks", &states(&[("a", "1:3")])).await.unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_told() {
    let folder = folder("unwritable");
    let positions = FilePositions::new(folder.join("missing").join("positions.txt"));
    let error = positions.save("clicks", &states(&[("a", "1:3")])).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");

    let path = folder.join("positions.txt");
    let error = FilePositions::new(&path)
        .save("two words", &states(&[("a", "1:3")]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("\"two words\""), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn the_identity_of_a_stream_is_kept_with_its_states() {
    let path = folder("identity").join("positions.txt");
    let positions = FilePositions::new(&path);
    let identity = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks 1700000000.25";
    let mut clicks = states(&[("a", "49:3")]);
    positions.save("clicks", &clicks).await.unwrap();
    clicks.identity = Some(identity.parse().unwrap());
    positions.save("clicks", &clicks).await.unwrap();
    // Without an identity, the one that is known stays.
    positions.save("clicks", &states(&[("b", "7:0")])).await.unwrap();
    positions.save("orders", &states(&[("a", "1:0")])).await.unwrap();
    clicks.shards.extend(states(&[("b", "7:0")]).shards);
    assert_eq!(positions.load("clicks").await.unwrap(), clicks);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        format!("clicks @ {identity}\nclicks a 49:3\nclicks b 7:0\norders a 1:0\n")
    );

    positions.remove("clicks").await.unwrap();
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[]));
    assert_eq!(positions.load("orders").await.unwrap(), states(&[("a", "1:0")]));
}

#[tokio::test]
async fn a_second_value_gets_an_error_until_the_last_clone_of_the_first_is_dropped() {
    let path = folder("values").join("positions.txt");
    let [first, second] = [(); 2].map(|()| FilePositions::new(&path));
    save(&first, "49:1").await.unwrap();
    let clone = first.clone();
    for used in [first, clone] {
        save(&used, "49:2").await.unwrap();
        let loaded = second.load("clicks").await.unwrap_err().to_string();
        for error in [loaded, save(&second, "49:3").await.unwrap_err()] {
            assert!(error.contains("positions.txt.lock: it is held"), "{error}");
        }
    }
    assert_eq!(second.load("clicks").await.unwrap(), states(&[("a", "49:2")]));
}

/// What another process does with the positions in the file that `POSITIONS` names; see [`other_process`].
#[tokio::test]
async fn in_another_process() {
    let Ok(path) = std::env::var("POSITIONS") else {
        return;
    };
    let positions = FilePositions::new(path);
    match save(&positions, "7:7").await {
        Ok(()) => println!("\nsaved"),
        Err(error) => println!("\nfailed: {error}"),
    }
    // The test that started the process kills it, or closes its input.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    // What the test harness would print is not read.
    std::process::exit(0);
}

/// Starts this binary anew with the test above. Returns the process, and what it says of its save.
fn other_process(mut command: Command, path: &Path) -> (Child, String) {
    let mut process = command
        .args(["in_another_process", "--exact", "--nocapture"])
        .env("POSITIONS", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let said = lines
        .map(Result::unwrap)
        .find(|line| line.starts_with("saved") || line.starts_with("failed"));
    (process, said.expect("the process says what it did"))
}

fn this_binary() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

#[tokio::test]
async fn two_processes_cannot_share_a_file_and_a_killed_one_holds_nothing() {
    let path = folder("processes").join("positions.txt");
    let (mut process, said) = other_process(this_binary(), &path);
    assert_eq!(said, "saved");
    let positions = FilePositions::new(&path);
    let error = save(&positions, "8:8").await.unwrap_err();
    assert!(error.contains("positions.txt.lock: it is held"), "{error}");
    assert!(error.contains("another reader"), "{error}");

    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[("a", "7:7")]));
    save(&positions, "8:8").await.unwrap();

    let (mut process, said) = other_process(this_binary(), &path);
    assert!(said.contains("it is held"), "{said}");
    assert!(process.wait().unwrap().success());
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[("a", "8:8")]));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn links_stay_and_the_file_that_they_lead_to_is_replaced() {
        let folder = folder("links");
        let [links, files] = ["links", "files"].map(|name| folder.join(name));
        fs::create_dir(&links).unwrap();
        fs::create_dir(&files).unwrap();
        symlink("../files/positions.txt", links.join("direct")).unwrap();
        symlink(links.join("direct"), folder.join("indirect")).unwrap();
        symlink("links", folder.join("directory")).unwrap();
        // The file is missing at first.
        for (round, link) in ["indirect", "links/direct", "directory/direct"].into_iter().enumerate() {
            let positions = FilePositions::new(folder.join(link));
            if round > 0 {
                assert_eq!(positions.load("clicks").await.unwrap().shards.len(), 1);
            }
            save(&positions, &format!("49:{round}")).await.unwrap();
            let text = fs::read_to_string(files.join("positions.txt")).unwrap();
            assert_eq!(text, format!("clicks a 49:{round}\n"));

            // Whichever way leads to the file, there is one lock.
            for other in ["indirect", "links/direct", "directory/direct", "files/positions.txt"] {
                let error = save(&FilePositions::new(folder.join(other)), "1:1").await.unwrap_err();
                assert!(error.contains("it is held"), "{error}");
            }
        }
        assert_eq!(names(&links), ["direct"]);
        assert_eq!(names(&files), ["positions.txt", "positions.txt.lock"]);
        assert_eq!(names(&folder), ["directory", "files", "indirect", "links"]);
        for link in ["links/direct", "indirect"] {
            assert!(folder.join(link).is_symlink());
        }

        symlink("circle", folder.join("circle")).unwrap();
        symlink("missing/positions.txt", folder.join("dangling")).unwrap();
        for link in ["circle", "dangling"] {
            let error = save(&FilePositions::new(folder.join(link)), "1:1").await.unwrap_err();
            assert!(error.contains(link), "{error}");
            assert!(folder.join(link).is_symlink());
        }
    }

    #[tokio::test]
    async fn what_is_not_a_regular_file_is_refused_at_once() {
        let folder = folder("irregular");
        let fifo = folder.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        symlink(&fifo, folder.join("link")).unwrap();
        fs::create_dir(folder.join("directory")).unwrap();
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        symlink(&fifo, folder.join("locked.lock")).unwrap();
        let before = names(&folder);
        let devices = ["/dev/null", "/dev/full", "/dev/zero"];
        let irregular = ["fifo", "link", "directory", "directory/", "socket", "locked"].map(|name| folder.join(name));
        for path in irregular.into_iter().chain(devices.map(PathBuf::from)) {
            let positions = FilePositions::new(&path);
            let work = async {
                let loaded = positions.load("clicks").await.unwrap_err().to_string();
                [loaded, save(&positions, "49:3").await.unwrap_err()]
            };
            let errors = tokio::time::timeout(Duration::from_secs(10), work).await;
            for error in errors.expect("the answer comes at once") {
                let name = path.to_str().unwrap();
                assert!(error.contains(name) && error.ends_with("not a regular file"), "{error}");
            }
        }
        assert_eq!(names(&folder), before);
        assert!(!Path::new("/dev/full.lock").exists());

        // Also if it comes later.
        let path = folder.join("later");
        let positions = FilePositions::new(&path);
        save(&positions, "49:3").await.unwrap();
        fs::rename(&fifo, &path).unwrap();
        let error = save(&positions, "49:4").await.unwrap_err();
        assert!(error.ends_with("not a regular file"), "{error}");
    }

    #[tokio::test]
    async fn permissions_and_owner_are_kept() {
        let path = folder("permissions").join("positions.txt");
        let positions = FilePositions::new(&path);
        save(&positions, "49:3").await.unwrap();
        for kept in [0o600, 0o640, 0o666] {
            set_mode(&path, kept);
            save(&positions, "49:4").await.unwrap();
            assert_eq!(mode(&path), kept);
        }
        if chown(&path, Some(1234), Some(5678)).is_err() {
            return eprintln!("not tested: only root can give a file to another owner");
        }
        save(&positions, "49:5").await.unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), mode(&path)), (1234, 5678, 0o666));
    }

    /// Returns a directory of the test's own in which any user can have files.
    fn public_folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kpl-file-positions-{test}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, 0o777);
        folder
    }

    /// Returns a command for this binary as a user that is not root.
    fn without_privileges(folder: &Path) -> Command {
        let binary = folder.join("binary");
        fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        let mut command = Command::new(binary);
        if folder.metadata().unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        command.current_dir("/");
        command
    }

    #[test]
    fn what_may_not_be_written_is_not_replaced() {
        let folder = public_folder("forbidden");
        let files = folder.join("files");
        fs::create_dir(&files).unwrap();
        set_mode(&files, 0o777);
        let path = files.join("positions.txt");
        let text = "clicks a 49:3\n";
        // The file, its directory, both, its owner.
        for (file_mode, folder_mode, named) in [
            (0o444, 0o777, "cannot write"),
            (0o666, 0o555, "positions.txt.lock"),
            (0o666, 0o777, "the owner cannot be kept"),
        ] {
            fs::write(&path, text).unwrap();
            set_mode(&path, file_mode);
            set_mode(&files, folder_mode);
            let before = names(&files);
            let owner = path.metadata().unwrap().uid();
            let (mut process, said) = other_process(without_privileges(&folder), &path);
            assert!(process.wait().unwrap().success());
            set_mode(&files, 0o777);
            if owner != 0 && named.contains("owner") {
                eprintln!("not tested: only root has a file that another user may write");
                continue;
            }
            assert!(said.starts_with("failed") && said.contains(named), "{said}");
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(mode(&path), file_mode);
            let lock = files.join("positions.txt.lock");
            assert!(names(&files) == before || lock.exists());
            assert!(!files.join("positions.txt.new").exists());
            drop(fs::remove_file(&lock));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_does_not_fit_leaves_the_old_file() {
        let folder = folder("full");
        let path = folder.join("positions.txt");
        let text = "clicks a 49:3\n";
        fs::write(&path, text).unwrap();
        // A process that may not write a single byte to a file, which then fails as on a full disk.
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
        limited.arg(std::env::current_exe().unwrap());
        let (mut process, said) = other_process(limited, &path);
        assert!(process.wait().unwrap().success());
        assert!(
            said.starts_with("failed") && said.contains("positions.txt.new"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(names(&folder), ["positions.txt", "positions.txt.lock"]);
    }

    #[tokio::test]
    async fn what_is_in_the_way_leaves_the_old_file() {
        let folder = folder("obstacles");
        let path = folder.join("positions.txt");
        let new = folder.join("positions.txt.new");
        let positions = FilePositions::new(&path);
        save(&positions, "49:3").await.unwrap();

        fs::create_dir(&new).unwrap();
        let error = save(&positions, "49:4").await.unwrap_err();
        assert!(
            error.contains("cannot replace") && error.contains("positions.txt.new"),
            "{error}"
        );
        assert_eq!(positions.load("clicks").await.unwrap(), states(&[("a", "49:3")]));
        fs::remove_dir(&new).unwrap();

        // A killed process left a part of a file, or somebody a link to another file.
        let precious = folder.join("precious");
        fs::write(&precious, "precious").unwrap();
        for round in 4..6 {
            match round {
                4 => fs::write(&new, "clicks a 4").unwrap(),
                _ => symlink(&precious, &new).unwrap(),
            }
            let state = format!("49:{round}");
            save(&positions, &state).await.unwrap();
            assert_eq!(positions.load("clicks").await.unwrap(), states(&[("a", &state)]));
            assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        }

        fs::remove_dir_all(&folder).unwrap();
        let error = save(&positions, "49:5").await.unwrap_err();
        assert!(error.contains("cannot write"), "{error}");
    }
}
