import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The chat server of the Java textbooks, which chat-server is a port of: a thread per client, which reads what its
 * client says and writes it to everybody, itself included. The writers are shared by all threads; each is locked
 * while a line is written, and whoever writes waits for a client that does not read.
 */
public final class ChatServer {
    private final Set<PrintWriter> writers = ConcurrentHashMap.newKeySet();

    public static void main(String[] args) throws IOException {
        new ChatServer().serve(Integer.parseInt(args[0]));
    }

    private void serve(int port) throws IOException {
        ExecutorService pool = Executors.newCachedThreadPool();
        // 0: the default backlog, 50.
        try (ServerSocket listener = new ServerSocket(port, 0, InetAddress.getLoopbackAddress())) {
            System.out.println("Chat server started...");
            for (int number = 1; ; number++) {
                Socket socket = listener.accept();
                String name = "guest" + number;
                pool.execute(() -> converse(socket, name));
            }
        }
    }

    private void converse(Socket socket, String name) {
        PrintWriter writer = null;
        try (socket) {
            var reader = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
            writer = new PrintWriter(socket.getOutputStream(), true, StandardCharsets.UTF_8);
            writers.add(writer);
            broadcast("*** " + name + " joined");
            String line;
            while ((line = reader.readLine()) != null) {
                broadcast("<" + name + "> " + line);
            }
        } catch (IOException e) {
            // The connection broke: the client is gone, as if it had hung up.
        } finally {
            if (writer != null) {
                writers.remove(writer);
                broadcast("*** " + name + " left");
            }
        }
    }

    private void broadcast(String line) {
        for (PrintWriter writer : writers) {
            writer.println(line);
        }
    }
}
