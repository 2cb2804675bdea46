import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

/**
 * The chat with a ServerSocket and an ExecutorService: {@code java ChatServer.java HOST:PORT}.
 *
 * <p>Two threads serve a client. One reads what the client says and acts on it in the room, a monitor
 * that one thread enters at a time. The other writes what the client is to see, from a bounded queue,
 * so that nobody in the room waits for a client that does not read; when its queue is full, it is
 * disconnected.
 *
 * <p>{@code BufferedReader.readLine} keeps a line of any length, and the textbooks leave it at that. A
 * failing {@code accept} ends the server, and escape sequences pass.
 */
public final class ChatServer {
  /** In a larger room nobody's coming and going is announced. */
  private static final int ANNOUNCED = 200;

  private static final int MAX_LINES_WAITING = 4096;
  private static final Pattern NAME = Pattern.compile("[\\p{L}\\p{N}_-]{1,20}");
  private static final Pattern GUEST = Pattern.compile("(?i)guest\\d*");
  private static final boolean LOGGING = !"off".equals(System.getenv("CHAT_LOG"));

  /** What a line from a client means. */
  private sealed interface Command {
    record Say(String text) implements Command {}

    record Nick(String name) implements Command {}

    record Msg(String to, String text) implements Command {}

    record ListNames() implements Command {}

    record Quit() implements Command {}

    record Problem(String problem) implements Command {}

    record Nothing() implements Command {}

    static Command parse(String line) {
      String typed = line.stripLeading();
      if (typed.isEmpty()) {
        return new Nothing();
      }
      if (typed.startsWith("//")) {
        return new Say(typed.substring(1));
      }
      if (!typed.startsWith("/")) {
        return new Say(line);
      }
      String[] words = typed.strip().split("\\s+", 3);
      return switch (words[0]) {
        case "/nick" -> new Nick(typed.substring("/nick".length()).strip());
        case "/list" -> new ListNames();
        case "/quit" -> new Quit();
        case "/msg" -> words.length == 3 ? new Msg(words[1], words[2]) : new Problem("Usage: /msg NAME TEXT");
        default -> new Problem("There is no command %1$s. To say it as text, type /%1$s".formatted(words[0]));
      };
    }
  }

  /** One connection. The room guards its name. */
  private static final class Client {
    private final int number;
    private final Socket socket;
    private final BlockingQueue<String> lines = new ArrayBlockingQueue<>(MAX_LINES_WAITING);
    private String name;

    Client(int number, Socket socket) {
      this.number = number;
      this.socket = socket;
      this.name = "guest" + number;
    }

    void tell(String line) {
      if (!lines.offer(line)) {
        close();
      }
    }

    /** Wakes both threads of the client: what they do with the socket fails from now on. */
    void close() {
      try {
        socket.close();
      } catch (IOException e) {
        // It is closed in any case.
      }
    }
  }
}
