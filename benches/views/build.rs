//! Generates the messages of the format.

fn main() {
    buffa_build::Config::new()
        .files(&["aggregated_record.proto"])
        .includes(&["."])
        .compile()
        .expect("protoc is installed, and the messages are valid");
}
