import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;

/**
 * The chat with a ServerSocket and an ExecutorService: {@code java ChatServer.java HOST:PORT}.
 *
 * <p>Two threads serve each client. One reads what its client says and acts on it in the room, a
 * monitor that one thread enters at a time. The other takes what its client is to see from a
 * bounded queue and writes it. So nobody in the room waits for a client that does not read: when
 * its queue is full, the client is disconnected.
 *
 * <p>It keeps some simplifications of the textbooks. {@code readLine} holds a line of any length in
 * memory. It logs while it holds the room's lock, so a terminal that stops its output stops the
 * room. Escape sequences pass.
 */
public final class ChatServer {
  private static final boolean LOGGING = !"off".equals(System.getenv("CHAT_LOG"));

  /** After a failed accept: most likely no descriptor is left. */
  private static final long PAUSE_MILLIS = 100;

  /** How long the last lines may take. */
  private static final long PATIENCE_SECONDS = 2;

  /** With virtual threads: {@code newVirtualThreadPerTaskExecutor}, and nothing else changes. */
  private final ExecutorService threads = Executors.newCachedThreadPool();

  private final Room room = new Room();

  public static void main(String[] args) throws IOException {
    String[] address = (args.length > 0 ? args[0] : "127.0.0.1:12345").split(":");
    new ChatServer().serve(InetAddress.getByName(address[0]), Integer.parseInt(address[1]));
  }

  private void serve(InetAddress host, int port) throws IOException {
    try (var listener = new ServerSocket(port, 1024, host)) {
      System.out.println("Chat server started...");
      System.out.printf("Listening on %s:%d%n", host.getHostAddress(), listener.getLocalPort());
      Runtime.getRuntime().addShutdownHook(new Thread(this::sayGoodbye));
      for (int number = 1; ; number++) {
        var client = new Client(number, accept(listener));
        try {
          threads.execute(() -> converse(client));
        } catch (RejectedExecutionException | OutOfMemoryError e) {
          client.close(); // The server is ending, or the system has no thread left.
        }
      }
    }
  }

  private static Socket accept(ServerSocket listener) {
    while (true) {
      try {
        return listener.accept();
      } catch (IOException e) {
        log("cannot accept: %s", e);
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(PAUSE_MILLIS));
      }
    }
  }

  /** Each client gets what waits for it and the goodbye; then its socket closes, and its threads end. */
  private void sayGoodbye() {
    room.close();
    threads.shutdown();
    try {
      threads.awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Reads all that a client says. */
  private void converse(Client client) {
    log("%s connected from %s", client.name, client.socket.getRemoteSocketAddress());
    boolean quits = false;
    try {
      room.join(client);
      threads.execute(client::writeLines);
      // Its buffer needs no closing. The socket stays open until the last lines to this client are
      // written.
      var reader =
          new BufferedReader(
              new InputStreamReader(client.socket.getInputStream(), StandardCharsets.UTF_8));
      String line;
      while (!quits && (line = reader.readLine()) != null) {
        quits = room.obey(client, line) == Outcome.QUITS;
      }
    } catch (RejectedExecutionException | OutOfMemoryError e) {
      client.close(); // Nobody would write to it.
    } catch (IOException e) {
      // The connection broke: the client is gone, as if it had hung up.
    } finally {
      room.leave(client, quits);
    }
  }

  private static void log(String format, Object... arguments) {
    if (LOGGING) {
      System.out.println(format.formatted(arguments));
    }
  }

  /** One connection, and the lines that wait to be written to it. */
  private static final class Client {
    private static final int MAX_WAITING = 8192;

    /** No line holds a line break. */
    private static final String END = "\n";

    final int number;
    final Socket socket;

    /** Only the room changes it. */
    volatile String name;

    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>(MAX_WAITING);

    Client(int number, Socket socket) {
      this.number = number;
      this.socket = socket;
      this.name = "guest" + number;
    }

    void tell(String line) {
      if (!lines.offer(line)) {
        // Both threads of this client find out, and the one that reads takes it out of the room.
        close();
      }
    }

    void end() {
      tell(END);
    }

    void writeLines() {
      try {
        writeUntilTheEnd();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        close();
      }
    }

    private void writeUntilTheEnd() throws InterruptedException {
      String line = "";
      try {
        var writer =
            new BufferedWriter(
                new OutputStreamWriter(socket.getOutputStream(), StandardCharsets.UTF_8));
        socket.setTcpNoDelay(true);
        while (!(line = lines.take()).equals(END)) {
          writer.write(line);
          writer.write('\n');
          if (lines.isEmpty()) {
            writer.flush();
          }
        }
        writer.flush();
      } catch (IOException e) {
        // The client reads no more. What it has said is still read, and then it leaves.
        while (!line.equals(END)) {
          line = lines.take();
        }
      }
    }

    private void close() {
      try {
        socket.close();
      } catch (IOException e) {
        log("cannot close the connection of %s: %s", name, e);
      }
    }
  }

  private enum Outcome {
    STAYS,
    QUITS
  }

  /** The clients in the room. Its lock gives all lines one order, the same for everyone. */
  private static final class Room {
    /** In a larger room nobody's coming and going is announced. */
    private static final int ANNOUNCED = 200;

    private static final Pattern NAME = Pattern.compile("[\\p{L}\\p{N}_-]{1,20}");
    private static final Pattern GUEST = Pattern.compile("(?i)guest[0-9]*");

    /** No two names differ in case alone. */
    private final SortedMap<String, Client> clients = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);

    synchronized void join(Client client) {
      if (clients.size() < ANNOUNCED) {
        broadcast("*** " + client.name + " joined");
      }
      clients.put(client.name, client);
      client.tell("*** Welcome to chat-server! You are " + client.name + ".");
      client.tell("*** Any text is for everyone. Or: /nick NAME, /list, /msg NAME TEXT, /quit");
      client.tell(here(80));
    }

    synchronized void leave(Client client, boolean hearsIt) {
      String line = "*** " + client.name + " left";
      boolean announced = clients.size() <= ANNOUNCED;
      clients.remove(client.name);
      log("%s disconnected", client.name);
      if (announced) {
        broadcast(line);
      }
      if (announced && hearsIt) {
        client.tell(line);
      }
      client.end();
    }

    /** The server ends. */
    synchronized void close() {
      broadcast("*** The server is shutting down. Goodbye!");
      clients.values().forEach(Client::end);
      clients.clear();
    }

    synchronized Outcome obey(Client client, String line) {
      String typed = line.strip();
      if (!typed.startsWith("/")) {
        if (!typed.isEmpty()) {
          say(client, line);
        }
        return Outcome.STAYS;
      }
      String[] words = typed.split("\\s+", 2);
      String rest = words.length == 2 ? words[1] : "";
      switch (words[0]) {
        case "/nick" -> rename(client, rest);
        case "/list" -> client.tell(here(4_000));
        case "/msg" -> whisper(client, rest.split("\\s+", 2));
        case "/quit" -> {
          return Outcome.QUITS;
        }
        default -> {
          if (typed.startsWith("//")) {
            say(client, typed.substring(1));
          } else {
            client.tell(
                "!!! There is no command %1$s. To say it as text, type /%1$s".formatted(words[0]));
          }
        }
      }
      return Outcome.STAYS;
    }

    private void say(Client client, String text) {
      log("%s: %s", client.name, text);
      broadcast("<" + client.name + "> " + text);
    }

    private void whisper(Client client, String[] nameAndText) {
      if (nameAndText.length < 2) {
        client.tell("!!! Usage: /msg NAME TEXT");
        return;
      }
      Client recipient = clients.get(nameAndText[0]);
      if (recipient == null) {
        client.tell("!!! No one here is called " + nameAndText[0] + ".");
        return;
      }
      log("%s wrote to %s privately", client.name, recipient.name);
      recipient.tell("[" + client.name + " -> you] " + nameAndText[1]);
      client.tell("[you -> " + recipient.name + "] " + nameAndText[1]);
    }

    private void rename(Client client, String name) {
      Client owner = clients.get(name);
      if (!NAME.matcher(name).matches()) {
        client.tell("!!! A name is 1 to 20 letters, digits, - and _");
      } else if (GUEST.matcher(name).matches() && !name.equalsIgnoreCase("guest" + client.number)) {
        client.tell("!!! " + name + " is for the guest with that number.");
      } else if (owner != null && owner != client) {
        client.tell("!!! " + name + " is taken.");
      } else {
        String old = client.name;
        clients.remove(old);
        client.name = name;
        clients.put(name, client);
        log("%s is now %s", old, name);
        broadcast("*** " + old + " is now " + name);
      }
    }

    /** Everyone who is here, or as many names as fit. */
    private String here(int columns) {
      var line = new StringBuilder("*** %d here: ".formatted(clients.size()));
      int unnamed = clients.size();
      String separator = "";
      for (String name : clients.keySet()) {
        String more = " … and " + unnamed + " more";
        int reserved = unnamed > 1 ? more.length() : 0;
        if (line.length() + separator.length() + name.length() + reserved > columns) {
          return line.append(more).toString();
        }
        line.append(separator).append(name);
        separator = ", ";
        unnamed--;
      }
      return line.toString();
    }

    private void broadcast(String line) {
      clients.values().forEach(client -> client.tell(line));
    }
  }
}
