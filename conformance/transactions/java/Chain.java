import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.*;

/** Reads topic in as a group and writes every value to topic out in transactions, some of which it aborts. */
public class Chain {
  public static void main(String[] args) throws Exception {
    String addr = args[0], id = args[1];
    int abortOneIn = Integer.parseInt(args[2]);
    Random random = new Random(Long.parseLong(args[3]));
    AtomicBoolean stop = new AtomicBoolean();
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      stop.set(true);
      try { main.join(5000); } catch (InterruptedException e) { }
    }));
    Map<String, Object> c = new HashMap<>();
    c.put("bootstrap.servers", addr);
    c.put("group.id", "chain");
    c.put("isolation.level", "read_committed");
    c.put("enable.auto.commit", "false");
    c.put("auto.offset.reset", "earliest");
    c.put("max.poll.records", "20");
    c.put("session.timeout.ms", "2000");
    c.put("heartbeat.interval.ms", "300");
    c.put("reconnect.backoff.max.ms", "200");
    Map<String, Object> p = new HashMap<>();
    p.put("reconnect.backoff.max.ms", "200");
    p.put("bootstrap.servers", addr);
    p.put("transactional.id", id);
    p.put("transaction.timeout.ms", "10000");
    p.put("max.block.ms", "20000");
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
        KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
      producer.initTransactions();
      consumer.subscribe(Collections.singletonList("in"));
      while (!stop.get()) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        try {
          Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
          for (ConsumerRecord<String, String> r : records) {
            producer.send(new ProducerRecord<>("out", r.partition(), r.key(), r.value()));
            offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
          }
          producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
          if (random.nextInt(abortOneIn) == 0) {
            producer.flush();
            producer.abortTransaction();
            rewind(consumer);
            System.out.println("aborted");
          } else {
            producer.commitTransaction();
            System.out.println("committed");
          }
        } catch (ProducerFencedException e) {
          throw e;
        } catch (Exception e) {
          producer.abortTransaction();
          rewind(consumer);
          System.out.println("gave up " + e);
        }
      }
    } catch (Exception e) {
      System.out.println("fatal " + e);
      Runtime.getRuntime().halt(1);
    }
  }

  static void rewind(KafkaConsumer<String, String> consumer) {
    Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
    for (TopicPartition t : consumer.assignment()) {
      OffsetAndMetadata o = committed.get(t);
      if (o != null) consumer.seek(t, o.offset());
      else consumer.seekToBeginning(Collections.singletonList(t));
    }
  }
}
