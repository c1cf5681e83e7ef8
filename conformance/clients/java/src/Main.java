import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The conformance scenarios with Apache Kafka's own Java client. Arguments: bootstrap address, prefix, scenarios.
 * The same sources are compiled against every release under test; what differs between releases is in Compat.
 */
public final class Main {
    interface Scenario {
        void run() throws Exception;
    }

    /** The client has no such feature. */
    static final class NotAvailable extends Exception {
        NotAvailable(String why) {
            super(why);
        }
    }

    public static void main(String[] args) {
        Producing p = new Producing(args[0], args[1]);
        Consuming c = new Consuming(args[0], args[1]);
        Administering a = new Administering(args[0], args[1]);
        Map<String, Scenario> all = new LinkedHashMap<>();
        all.put("create", a::create);
        all.put("acks-0", () -> p.acks("0"));
        all.put("acks-1", () -> p.acks("1"));
        all.put("acks-all", () -> p.acks("all"));
        all.put("idempotent", p::idempotent);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            all.put(codec, () -> p.codec(codec));
        }
        all.put("content", p::content);
        all.put("sizes", p::sizes);
        all.put("assign", c::assign);
        all.put("group", c::group);
        all.put("rebalance", c::rebalance);
        all.put("static", c::staticMembers);
        all.put("time", c::seekByTime);
        all.put("admin-topics", a::topics);
        all.put("admin-groups", a::groups);
        all.put("commit", c::commit);
        all.put("resume", c::resume);
        all.put("transactions", new Transacting(args[0], args[1])::transactions);
        all.put("consumer-protocol", c::consumerProtocol);
        all.put("compaction", new Compacting(args[0], args[1])::compaction);
        Compat.addShares(all, args[0], args[1]);
        for (int i = 2; i < args.length; i++) {
            report(args[i], all.get(args[i]));
        }
        System.exit(0);
    }

    private static void report(String name, Scenario scenario) {
        String end;
        try {
            scenario.run();
            end = "\"ok\":true";
        } catch (NotAvailable e) {
            end = "\"ok\":false,\"na\":true,\"detail\":" + quote(e.getMessage());
        } catch (Throwable e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            StackTraceElement at = null;
            for (StackTraceElement s : e.getStackTrace()) {
                if (at == null && s.getFileName() != null && !s.getClassName().contains(".")) {
                    at = s;
                }
            }
            end = "\"ok\":false,\"detail\":" + quote(cause + (at == null ? "" : " (" + at.getFileName() + ":" + at.getLineNumber() + ")"));
        }
        System.out.println("{\"scenario\":" + quote(name) + "," + end + "}");
        System.out.flush();
    }

    private static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char ch : String.valueOf(s).toCharArray()) {
            if (ch == '"' || ch == '\\') {
                b.append('\\').append(ch);
            } else if (ch < ' ') {
                b.append(' ');
            } else {
                b.append(ch);
            }
        }
        return b.append('"').toString();
    }
}
