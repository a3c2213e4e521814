#!/usr/bin/env bash
# librdkafka 2.16.1: to a user who may not read a consumer group (no Read in Kafka's ACLs),
# Consumer.committed() says nothing of it: neither an error of its own nor one by error_cb, but
# "Timed out" at the end of the time-out, while the same client gets every other answer. So a missing
# right is taken for a broker that is slow or down. Given the right, the same client is answered.
# Source: rd_kafka_committed() waits for the group's coordinator, for which it asks again and again.
# Needs: Python 3.11, Java 17 or later. Seen on 2026-12-01 with confluent-kafka 2.16.1, Kafka 4.1.0:
#   without the right: _TIMED_OUT after 5 s, nothing by error_cb      with it: [-1001], at once
set -euo pipefail
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 pyspark==4.2.0
# PySpark brings Ivy, which fetches the broker.
ivy=$(ls "$work"/venv/lib/python3*/site-packages/pyspark/jars/ivy-*.jar)
java -jar "$ivy" -cache "$work/ivy" -dependency org.apache.kafka kafka_2.13 4.1.0 -confs default \
  -warn -retrieve "$work/jars/[artifact]-[revision].[ext]" >/dev/null
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free) controller=$(free) jaas=org.apache.kafka.common.security.plain.PlainLoginModule
cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_PLAINTEXT
listeners=SASL_PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=$jaas required username="root" password="root" user_root="root" user_reader="reader";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:root;User:ANONYMOUS
offsets.topic.replication.factor=1
log.dirs=$work/data
PROPERTIES
run() { java -Xmx512m -cp "$work/jars/*" "$@"; }
run kafka.tools.StorageTool format -t "$(python3 -c 'import base64; print(base64.urlsafe_b64encode(bytes(range(16))).decode().rstrip("="))')" \
  -c "$work/server.properties" >/dev/null 2>&1
# SLF4J says that it has no logger.
run kafka.Kafka "$work/server.properties" >"$work/broker.log" 2>&1 &
broker=$!
cat >"$work/try.py" <<'PY'
import sys, time
import confluent_kafka
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType)

def options(user, **more):
    return {"bootstrap.servers": f"127.0.0.1:{sys.argv[1]}", "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN", "sasl.username": user, "sasl.password": user, "log_level": 0, **more}

root = AdminClient(options("root"))
def patiently(ask):
    for left in reversed(range(30)):
        try:
            return ask()
        except KafkaException:
            if not left:
                raise
            time.sleep(1)

patiently(lambda: root.list_topics(timeout=2))
root.create_topics([NewTopic("pictures", 1, 1)])["pictures"].result(30)
rights = [AclBinding(ResourceType.TOPIC, "pictures", ResourcePatternType.LITERAL, "User:reader", "*",
                     AclOperation.READ, AclPermissionType.ALLOW)]
for future in root.create_acls(rights).values():
    future.result(30)
heard = []

def reader():
    """A client that gets an answer, once topic and right have reached the broker."""
    found = Consumer(options("reader", **{"group.id": "press"}, error_cb=lambda error: heard.append(error.name())))
    print("watermarks:", found.get_watermark_offsets(TopicPartition("pictures", 0), timeout=10))
    return found

reader = patiently(reader)
heard.clear()
def committed():
    try:
        return [one.offset for one in reader.committed([TopicPartition("pictures", 0)], timeout=5)]
    except KafkaException as error:
        return error.args[0].name()

without = committed()
reader.poll(0.5)
rights = [AclBinding(ResourceType.GROUP, "press", ResourcePatternType.LITERAL, "User:reader", "*",
                     AclOperation.READ, AclPermissionType.ALLOW)]
for future in root.create_acls(rights).values():
    future.result(30)
for _ in range(10):  # the group's coordinator is only now made
    if isinstance(given := committed(), list):
        break
    time.sleep(1)
print(f"confluent-kafka {confluent_kafka.__version__}: committed() without Read on the group: {without}, "
      f"error_cb: {heard or 'nothing'}; with it: {given}")
sys.exit(0 if (without, heard, given) == ("_TIMED_OUT", [], [-1001]) else 1)
PY
"$work/venv/bin/python" "$work/try.py" "$port"
