// SPDX-License-Identifier: GPL-2.0-only

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.storage.internals.checkpoint.LeaderEpochCheckpointFile;
import org.apache.kafka.storage.internals.checkpoint.PartitionMetadataFile;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;

/**
 * What selftests/interop/run has Apache Kafka's own classes do.
 *
 * A record is a JSON object: p partition, o offset, t timestamp, k key, v value, h headers (an
 * array of name and value). Keys and values are base64 or null. Files have one object a line.
 */
public class Interop {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        String[] rest = Arrays.copyOfRange(args, 1, args.length);
        switch (args[0]) {
            case "create" -> create(rest);
            case "produce" -> produce(rest[0], Path.of(rest[1]));
            case "consume" -> consume(rest);
            case "lookup" -> lookup(rest[0], Path.of(rest[1]), Path.of(rest[2]));
            case "build" -> build(Path.of(rest[0]));
            case "decode" -> decode(rest);
            case "metadata" -> metadata(rest);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
    }

    private static String text(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }

    private static Header[] headers(JsonNode node) {
        List<Header> list = new ArrayList<>();
        if (node != null)
            for (JsonNode pair : node)
                list.add(new RecordHeader(pair.get(0).asText(), bytes(pair.get(1))));
        return list.toArray(new Header[0]);
    }

    private static ObjectNode record(int partition, long offset, long timestamp, byte[] key,
                                     byte[] value, Iterable<Header> headers) {
        ObjectNode out = JSON.createObjectNode();
        out.put("p", partition).put("o", offset).put("t", timestamp);
        out.put("k", text(key)).put("v", text(value));
        ArrayNode pairs = out.putArray("h");
        for (Header header : headers)
            pairs.addArray().add(header.key()).add(text(header.value()));
        return out;
    }

    private static void line(BufferedWriter out, JsonNode node) throws IOException {
        out.write(JSON.writeValueAsString(node));
        out.newLine();
    }

    private static Map<String, Object> client(String server) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", server);
        return config;
    }

    /** create SERVER TOPIC PARTITIONS [NAME=VALUE]... [-- TOPIC ...]... */
    private static void create(String[] args) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (int at = 1; at < args.length; at++) {
            NewTopic topic = new NewTopic(args[at], Integer.parseInt(args[at + 1]), (short) 1);
            Map<String, String> config = new HashMap<>();
            for (at += 2; at < args.length && !args[at].equals("--"); at++) {
                String[] pair = args[at].split("=", 2);
                config.put(pair[0], pair[1]);
            }
            topics.add(topic.configs(config));
        }
        try (Admin admin = Admin.create(client(args[0]))) {
            admin.createTopics(topics).all().get();
        }
    }

    /**
     * Does what a file says, a step a line: a record with its "topic", {"producer": {its settings}}
     * for those that follow, {"flush": true}, or {"transaction": "begin", "commit" or "abort"}.
     */
    private static void produce(String server, Path file) throws Exception {
        KafkaProducer<byte[], byte[]> producer = null;
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String text : Files.readAllLines(file)) {
            JsonNode step = JSON.readTree(text);
            if (step.has("producer")) {
                if (producer != null)
                    producer.close();
                Map<String, Object> config = client(server);
                step.get("producer").properties().forEach(
                    entry -> config.put(entry.getKey(), entry.getValue().asText()));
                producer = new KafkaProducer<>(config, new ByteArraySerializer(),
                                               new ByteArraySerializer());
                if (config.containsKey("transactional.id"))
                    producer.initTransactions();
            } else if (step.has("flush")) {
                producer.flush();
            } else if (step.has("transaction")) {
                switch (step.get("transaction").asText()) {
                    case "begin" -> producer.beginTransaction();
                    case "commit" -> producer.commitTransaction();
                    default -> {
                        producer.flush();
                        producer.abortTransaction();
                    }
                }
            } else {
                sent.add(producer.send(new ProducerRecord<>(
                    step.get("topic").asText(), step.get("p").asInt(), step.get("t").asLong(),
                    bytes(step.get("k")), bytes(step.get("v")),
                    Arrays.asList(headers(step.get("h"))))));
            }
        }
        producer.close();
        for (Future<RecordMetadata> result : sent)
            result.get();
    }

    /** consume SERVER [TOPIC FILE]...: all that a consumer sees, from the first to the last. */
    private static void consume(String[] args) throws Exception {
        Map<String, Object> config = client(args[0]);
        config.put("auto.offset.reset", "none");
        config.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (int at = 1; at < args.length; at += 2) {
                List<TopicPartition> all = consumer.partitionsFor(args[at]).stream()
                    .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
                Map<TopicPartition, Long> ends = consumer.endOffsets(all);
                consumer.assign(all);
                consumer.seekToBeginning(all);
                try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[at + 1]))) {
                    while (all.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp)))
                        for (var r : consumer.poll(Duration.ofMillis(200)))
                            line(out, record(r.partition(), r.offset(), r.timestamp(), r.key(),
                                             r.value(), r.headers()));
                }
            }
        }
    }

    /**
     * Where a broker finds things by its indexes: each line of a file has "topic", "p", "times" and
     * "offsets", the answer has for each time the first offset not older (or -1), and for each
     * offset the record that a consumer gets first from there.
     */
    private static void lookup(String server, Path questions, Path answers) throws Exception {
        Map<String, Object> config = client(server);
        config.put("auto.offset.reset", "none");
        config.put("max.poll.records", "1");
        config.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
             BufferedWriter out = Files.newBufferedWriter(answers)) {
            for (String text : Files.readAllLines(questions)) {
                JsonNode question = JSON.readTree(text);
                TopicPartition tp = new TopicPartition(question.get("topic").asText(),
                                                       question.get("p").asInt());
                ObjectNode answer = JSON.createObjectNode();
                ArrayNode times = answer.putArray("times"), offsets = answer.putArray("offsets");
                for (JsonNode time : question.get("times")) {
                    OffsetAndTimestamp found =
                        consumer.offsetsForTimes(Map.of(tp, time.asLong())).get(tp);
                    times.add(found == null ? -1 : found.offset());
                }
                consumer.assign(List.of(tp));
                for (JsonNode offset : question.get("offsets")) {
                    consumer.seek(tp, offset.asLong());
                    ConsumerRecords<byte[], byte[]> found;
                    do {
                        found = consumer.poll(Duration.ofMillis(200));
                    } while (found.isEmpty());
                    offsets.add(found.iterator().next().offset());
                }
                line(out, answer);
            }
        }
    }

    /**
     * Builds a batch for each line of a file: "file", "codec", "records", and where it is to be so
     * "producer", "epoch", "sequence" and "append_time".
     */
    private static void build(Path spec) throws Exception {
        for (String text : Files.readAllLines(spec)) {
            JsonNode batch = JSON.readTree(text);
            long appendTime = batch.path("append_time").asLong(RecordBatch.NO_TIMESTAMP);
            MemoryRecordsBuilder builder = MemoryRecords.builder(
                ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
                Compression.of(batch.get("codec").asText()).build(),
                batch.has("append_time") ? TimestampType.LOG_APPEND_TIME
                                         : TimestampType.CREATE_TIME,
                0L, appendTime, batch.path("producer").asLong(RecordBatch.NO_PRODUCER_ID),
                (short) batch.path("epoch").asInt(RecordBatch.NO_PRODUCER_EPOCH),
                batch.path("sequence").asInt(RecordBatch.NO_SEQUENCE), false,
                RecordBatch.NO_PARTITION_LEADER_EPOCH);
            for (JsonNode r : batch.get("records"))
                builder.append(r.get("t").asLong(), bytes(r.get("k")), bytes(r.get("v")),
                               headers(r.get("h")));
            ByteBuffer data = builder.build().buffer();
            byte[] copy = new byte[data.remaining()];
            data.get(copy);
            Files.write(Path.of(batch.get("file").asText()), copy);
        }
    }

    /** decode [FILE PARTITION OUT]...: the records of a stretch of log. */
    private static void decode(String[] args) throws Exception {
        for (int at = 0; at < args.length; at += 3) {
            int partition = Integer.parseInt(args[at + 1]);
            try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[at + 2]));
                 FileRecords records = FileRecords.open(new File(args[at]), false)) {
                int size = 0;
                for (RecordBatch batch : records.batches()) {
                    batch.ensureValid();
                    size += batch.sizeInBytes();
                    if (batch.isControlBatch())
                        continue;
                    for (Record r : batch)
                        line(out, record(partition, r.offset(), r.timestamp(),
                                         r.hasKey() ? Utils.toArray(r.key()) : null,
                                         r.hasValue() ? Utils.toArray(r.value()) : null,
                                         Arrays.asList(r.headers())));
                }
                if (size != records.sizeInBytes())
                    throw new IOException(args[at] + ": " + (records.sizeInBytes() - size)
                                          + " bytes behind the last batch");
            }
        }
    }

    /** metadata DIRECTORY...: what Kafka reads of the small files of partitions. */
    private static void metadata(String[] args) throws Exception {
        for (String name : args) {
            File folder = new File(name);
            LogDirFailureChannel failures = new LogDirFailureChannel(1);
            ObjectNode out = JSON.createObjectNode().put("directory", name);
            out.put("id", new PartitionMetadataFile(
                PartitionMetadataFile.newFile(folder), failures).read().topicId().toString());
            ArrayNode epochs = out.putArray("epochs");
            new LeaderEpochCheckpointFile(
                LeaderEpochCheckpointFile.newFile(folder), failures).read().forEach(
                    entry -> epochs.addArray().add(entry.epoch).add(entry.startOffset));
            System.out.println(JSON.writeValueAsString(out));
        }
    }
}
