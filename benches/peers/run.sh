#!/bin/sh
# Measures the Python, Node.js, Java and Go modules for this format on the bytes of `cargo bench --bench codec`:
#
#     benches/peers/run.sh
#
# Installs each by its package name under target/peers and writes target/peers/results/*.json for benches/report.py.
# A language that is not installed is skipped. PEER_TIMEOUT bounds each language's installation and measurement
# together, in seconds (default 80).
set -u
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}/peers
limit=${PEER_TIMEOUT:-80}
mkdir -p "$target/results"
target=$(cd "$target" && pwd)
shapes=$target/shapes
results=$target/results

# The Python module imports six and does not ask for it.
python() {
    test -x "$target/python/bin/python" || python3 -m venv "$target/python"
    "$target/python/bin/python" -m pip install --quiet --disable-pip-version-check aws-kinesis-agg==1.2.3 six
    "$target/python/bin/python" "$here/python/peer.py" "$shapes" "$1"
}

node() {
    mkdir -p "$target/node"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$target/node" aws-kinesis-agg@4.2.8
    command node "$here/node/peer.js" "$target/node" "$shapes" "$1"
}

java() {
    mvn --batch-mode --quiet -Dstyle.color=never --file "$here/java/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$target/java" >&2
    command java -cp "$target/java/*" "$here/java/Peer.java" "$target/java" "$shapes" "$1"
}

go() {
    rm -rf "$target/go"
    mkdir -p "$target/go"
    cp "$here/go/main.go" "$target/go"
    cd "$target/go"
    command go mod init peer 2>/dev/null
    # The module has no tagged version: this is its newest commit, of 4 October 2024.
    command go mod edit \
        -require=github.com/awslabs/kinesis-aggregation/go/v2@v2.0.0-20241004223953-c2774b1ab29b
    command go mod tidy 2>/dev/null
    command go build -o peer .
    ./peer "$shapes" "$1"
}

if [ $# -eq 2 ]; then # one language, called by the loop below
    set -e
    "$1" "$2"
    exit
fi

if ! command -v python3 >/dev/null; then
    echo "python3 writes the shapes, and is not installed" >&2
    exit 1
fi
python3 "$here/shapes.py" "$shapes" || exit
failed=0
for peer in "python python3" "node node npm" "java java mvn" "go go"; do
    set -- $peer
    name=$1
    shift
    missing=
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    rm -f "$results/$name.json"
    if [ -n "$missing" ]; then
        echo "$name: skipped, not installed:$missing"
    elif timeout "$limit" sh "$here/run.sh" "$name" "$results/$name.json"; then
        echo "$name: $results/$name.json"
    else
        echo "$name: failed, or took more than $limit seconds" >&2
        failed=1
    fi
done
exit $failed
