"""A stream, a table and the Amazon KCL's daemon on this machine: what the programs in this folder have in common.

INSTALLED is the folder where `.ci/kcl install` has put `kinesis-local/`, `moto/` and, for each version of the daemon,
`kcl/VERSION/jars/`.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import boto3

INSTALLED = pathlib.Path(os.environ["INSTALLED"])
KCL_3, KCL_2 = "3.1.3", "2.5.4"
REGION = "us-east-1"

LOGBACK = """<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender">
    <file>{file}</file>
    <encoder><pattern>%d{{HH:mm:ss.SSS}} %-5level %logger{{0}} - %msg%n</pattern></encoder>
  </appender>
  <logger name="software.amazon.kinesis" level="{level}"/>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(what, seconds, condition):
    """Returns what `condition` returns, as soon as that is true."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s: {what}")
        time.sleep(0.1)


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Local:
    """kinesis-local and moto. Everything that it and its daemons start ends with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = []
        # SIGTERM ends the program as Ctrl-C does, so that what it has started ends as well.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.kinesis_port, self.dynamodb_port = free_port(), free_port()
        package = INSTALLED / "kinesis-local" / "node_modules" / "kinesis-local"
        settings = {
            "KINESIS_MOCK_PLAIN_PORT": self.kinesis_port,
            "KINESIS_MOCK_TLS_PORT": free_port(),
            "LOG_LEVEL": "ERROR",
            "AWS_REGION": REGION,
        }
        for call in ("CREATE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS"):
            settings[call + "_DURATION"] = "50ms"
        self.start("kinesis", ["node", "main.js"], cwd=package, settings=settings)
        self.start("moto", [INSTALLED / "moto/bin/moto_server", "--host", "127.0.0.1", "--port", self.dynamodb_port])
        try:
            for name, port in (("kinesis-local", self.kinesis_port), ("moto", self.dynamodb_port)):
                wait_for(f"{name} does not answer", 60, lambda: answers(port))
        except BaseException:
            self.close()
            raise
        self.kinesis = self.client("kinesis", self.kinesis_port)
        self.dynamodb = self.client("dynamodb", self.dynamodb_port)

    def start(self, name, command, cwd=None, settings=()):
        environment = {**os.environ, **{name: str(value) for name, value in dict(settings).items()}}
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )
        self.started.append(process)
        return process

    def client(self, service, port):
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION,
            aws_access_key_id="a", aws_secret_access_key="b",
        )

    def create_stream(self, name, shards):
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.wait_for_stream(name)

    def wait_for_stream(self, name):
        def active():
            summary = self.kinesis.describe_stream_summary(StreamName=name)
            return summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"

        wait_for(f"stream {name} is not active", 30, active)

    def shards(self, stream):
        return self.kinesis.list_shards(StreamName=stream)["Shards"]

    def leases(self, application):
        """Returns the items of the lease table by shard, or nothing as long as there is no table."""
        try:
            items = self.dynamodb.scan(TableName=application)["Items"]
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return {}
        leases = ({name: next(iter(value.values())) for name, value in item.items()} for item in items)
        return {lease["leaseKey"]: lease for lease in leases}

    def close(self):
        for process in self.started:
            kill_group(process)
        for process in self.started:
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def kill_group(process):
    """Ends a process and all that it has started. One that has ended may have left its number to another."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


class Daemon:
    """A MultiLangDaemon. Its children are of its process group."""

    def __init__(self, local, name, version, stream, application, command, worker=None, settings=(), level="INFO", **properties):
        folder = local.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / "daemon.log"
        lines = {
            "executableName": " ".join(str(word) for word in command),
            "streamName": stream,
            "applicationName": application,
            "AwsCredentialsProvider" if version == KCL_3 else "AWSCredentialsProvider": "SystemPropertyCredentialsProvider" if version == KCL_3 else "SystemPropertiesCredentialsProvider",
            "processingLanguage": "rust/1",
            "initialPositionInStream": "TRIM_HORIZON",
            "regionName": REGION,
            "kinesisEndpoint": f"http://127.0.0.1:{local.kinesis_port}",
            "dynamoDBEndpoint": f"http://127.0.0.1:{local.dynamodb_port}",
            "metricsLevel": "NONE",
            "retrievalMode": "POLLING",
            "maxRecords": 1000,
            "idleTimeBetweenReadsInMillis": 250,
            "failoverTimeMillis": 5000,
            "shardSyncIntervalMillis": 5000,
            "shutdownGraceMillis": 10000,
            **({"workerIdentifier": worker} if worker else {}),
            **properties,
        }
        (folder / "app.properties").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        (folder / "logback.xml").write_text(LOGBACK.format(file=self.log, level=level))
        self.process = local.start(
            f"{name}/java",
            [
                "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Daws.accessKeyId=a", "-Daws.secretAccessKey=b", "-Daws.secretKey=b",
                "-Dsoftware.amazon.awssdk.http.service.impl=software.amazon.awssdk.http.urlconnection.UrlConnectionSdkHttpService",
                "-cp", INSTALLED / "kcl" / version / "jars" / "*", "software.amazon.kinesis.multilang.MultiLangDaemon",
                "--properties-file", folder / "app.properties", "-l", folder / "logback.xml",
            ],
            settings={"AWS_CBOR_ENABLED": "false", **dict(settings)},
        )

    def kill(self):
        """Ends the daemon and its children as a crash of the machine does."""
        kill_group(self.process)
        self.process.wait()

    def stop(self, seconds=60):
        """Asks the daemon to stop, and returns its exit code."""
        os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(seconds)
