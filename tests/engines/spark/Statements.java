import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.SparkSession;

/** Runs SQL on Spark: a POST is a statement, the answer its rows as JSON, or 500 and why. */
public final class Statements {
    private static SparkSession spark;

    public static void main(String[] arguments) throws IOException {
        spark = SparkSession.builder().getOrCreate();
        int port = Integer.parseInt(arguments[0]);
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        HttpServer server = HttpServer.create(address, 0);
        server.createContext("/", Statements::answer);
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        byte[] sql = exchange.getRequestBody().readAllBytes();
        int status = 200;
        String answer;
        try {
            answer = rows(new String(sql, StandardCharsets.UTF_8));
        } catch (Exception error) {
            status = 500;
            answer = error.toString();
        }
        byte[] body = answer.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static String rows(String sql) {
        return "[" + String.join(",", spark.sql(sql).toJSON().collectAsList()) + "]";
    }
}
