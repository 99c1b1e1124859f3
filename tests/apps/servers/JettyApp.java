/* java JettyApp PORT */
import java.io.IOException;
import java.net.InetSocketAddress;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.AbstractHandler;

public class JettyApp {
	public static void main(String[] arguments) throws Exception {
		Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));

		server.setHandler(new AbstractHandler() {
			@Override
			public void handle(String target, Request base, HttpServletRequest request,
				HttpServletResponse response) throws IOException {
				response.setContentType("application/json");
				response.getWriter().printf("{\"pid\": %d, \"slot\": \"%s\", \"peer\": \"%s\"}",
					ProcessHandle.current().pid(), System.getenv("LIMPET_SLOT"), request.getRemoteAddr());
				base.setHandled(true);
			}
		});
		server.setStopAtShutdown(true);
		server.start();
		server.join();
	}
}
