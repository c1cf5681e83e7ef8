import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;

/** Scenarios about what is written. */
final class Producing extends Base {
    Producing(String addr, String prefix) {
        super(addr, prefix);
    }

    void acks(String acks) throws Exception {
        String topic = newTopic("acks-" + acks, PARTITIONS);
        awaitLeaders(topic, PARTITIONS);
        produce(topic, 0, RECORDS, PARTITIONS, "acks", acks, "enable.idempotence", "false");
        readAll(topic, RECORDS, PARTITIONS);
    }

    void idempotent() throws Exception {
        String topic = newTopic("idempotent", PARTITIONS);
        awaitLeaders(topic, PARTITIONS); // 1.1 loses the order of its first batches when a leader comes between them
        produce(topic, 0, RECORDS, PARTITIONS, "acks", "all", "enable.idempotence", "true", "batch.size", "2048");
        readAll(topic, RECORDS, PARTITIONS);
    }

    void codec(String codec) throws Exception {
        if (codec.equals("zstd") && Compat.VERSION.startsWith("1.")) {
            throw new Main.NotAvailable("kafka-clients has zstd since 2.1");
        }
        String topic = newTopic(codec, PARTITIONS);
        produce(topic, 0, RECORDS, PARTITIONS, "compression.type", codec);
        readAll(topic, RECORDS, PARTITIONS);
    }

    void content() throws Exception {
        String topic = newTopic("content", 1);
        byte[][][] kv = {{bytes("k0"), bytes("v0")}, {null, bytes("v1")}, {bytes("k2"), null}, {{}, {}},
            {bytes("ключ-열쇠"), bytes("값")}, {null, null}};
        try (KafkaProducer<byte[], byte[]> p = producer()) {
            for (int i = 0; i < kv.length; i++) {
                ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0, BASE_TIME + i * 1000L, kv[i][0], kv[i][1]);
                if (i == 0) {
                    r.headers().add("a", bytes("1")).add("a", bytes("2")).add("b", new byte[] {0, -1, 16}).add("e", new byte[0]).add("n", null);
                }
                p.send(r).get(30, TimeUnit.SECONDS);
            }
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            c.assign(partitions(topic, 1));
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, kv.length);
            for (int i = 0; i < kv.length; i++) {
                ConsumerRecord<byte[], byte[]> r = got.get(i);
                expect(Arrays.equals(r.key(), kv[i][0]), "record " + i + ": key " + Arrays.toString(r.key()));
                expect(Arrays.equals(r.value(), kv[i][1]), "record " + i + ": value " + Arrays.toString(r.value()));
                expect(r.timestamp() == BASE_TIME + i * 1000L, "record " + i + ": timestamp " + r.timestamp());
                StringBuilder headers = new StringBuilder();
                for (Header h : r.headers()) {
                    headers.append(h.key()).append('=').append(Arrays.toString(h.value())).append(' ');
                }
                String want = i == 0 ? "a=[49] a=[50] b=[0, -1, 16] e=[] n=null " : "";
                expect(headers.toString().equals(want), "record " + i + ": headers " + headers);
            }
        }
    }

    void sizes() throws Exception {
        String topic = newTopic("sizes", 1);
        byte[] big = new byte[1000000];
        for (int j = 0; j < big.length; j++) {
            big[j] = (byte) (j * 7 + (j >> 8) * 13);
        }
        byte[][] values = {{'x'}, big, {'y'}};
        try (KafkaProducer<byte[], byte[]> p = producer("max.request.size", "4194304")) {
            for (byte[] v : values) {
                p.send(new ProducerRecord<>(topic, v)).get(30, TimeUnit.SECONDS);
            }
            try {
                p.send(new ProducerRecord<>(topic, new byte[2 << 20])).get(30, TimeUnit.SECONDS);
                throw new IllegalStateException("a value of 2 MiB was accepted");
            } catch (ExecutionException e) {
                expect(e.getCause() instanceof RecordTooLargeException, "a value of 2 MiB: " + e.getCause());
            }
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            TopicPartition tp = new TopicPartition(topic, 0);
            c.assign(Collections.singleton(tp));
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, values.length);
            for (int i = 0; i < values.length; i++) {
                expect(Arrays.equals(got.get(i).value(), values[i]), "record " + i + " differs");
            }
        }
    }
}
