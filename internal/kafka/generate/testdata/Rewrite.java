import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

/**
 * Reads lines of a class of Kafka, a version and a message in hexadecimal, and
 * answers each with what the class writes after reading it, and how many bytes
 * it left. Instead of a message, the word "default" asks for a new one.
 */
public class Rewrite {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder out = new StringBuilder();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", -1);
            try {
                Message message = (Message) Class.forName(words[0]).getConstructor().newInstance();
                short version = Short.parseShort(words[1]);
                ByteBuffer bytes = ByteBuffer.allocate(0);
                if (!words[2].equals("default")) {
                    bytes = ByteBuffer.wrap(HexFormat.of().parseHex(words[2]));
                    message.read(new ByteBufferAccessor(bytes), version);
                }
                ByteBuffer again = MessageUtil.toByteBufferAccessor(message, version).buffer();
                byte[] array = new byte[again.remaining()];
                again.get(array);
                out.append(HexFormat.of().formatHex(array)).append(' ').append(bytes.remaining());
            } catch (Throwable e) {
                out.append("error ").append(e.toString().replace('\n', ' '));
            }
            out.append('\n');
        }
        System.out.print(out);
    }
}
