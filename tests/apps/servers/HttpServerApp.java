/* java HttpServerApp.java PORT: the server of the class library */
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class HttpServerApp {
	public static void main(String[] arguments) throws Exception {
		HttpServer server =
			HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);

		server.createContext("/", exchange -> {
			byte[] body = String.format("{\"pid\": %d, \"slot\": \"%s\", \"peer\": \"%s\"}",
				ProcessHandle.current().pid(), System.getenv("LIMPET_SLOT"),
				exchange.getRemoteAddress().getAddress().getHostAddress()).getBytes();

			exchange.sendResponseHeaders(200, body.length);
			exchange.getResponseBody().write(body);
			exchange.close();
		});
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.start();
	}
}
