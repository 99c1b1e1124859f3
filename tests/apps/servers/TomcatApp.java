/* java TomcatApp PORT DIRECTORY: Tomcat, embedded, with a WebSocket at /ws */
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.websocket.OnMessage;
import jakarta.websocket.server.ServerEndpoint;
import java.io.IOException;
import java.util.Set;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.websocket.server.WsSci;

public class TomcatApp {
	static String who(String peer) {
		return String.format("{\"pid\": %d, \"slot\": \"%s\", \"peer\": \"%s\"}",
			ProcessHandle.current().pid(), System.getenv("LIMPET_SLOT"), peer);
	}

	public static class Answer extends HttpServlet {
		@Override
		protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
			response.setContentType("application/json");
			response.getWriter().print(who(request.getRemoteAddr()));
		}
	}

	@ServerEndpoint("/ws")
	public static class Talk {
		@OnMessage
		public String answer(String text) {
			return who("");
		}
	}

	public static void main(String[] arguments) throws Exception {
		Tomcat tomcat = new Tomcat();

		tomcat.setBaseDir(arguments[1]);
		tomcat.setPort(Integer.parseInt(arguments[0]));
		tomcat.getConnector().setProperty("address", "127.0.0.1");
		Context context = tomcat.addContext("", null);

		context.addServletContainerInitializer(new WsSci(), Set.of(Talk.class));
		Tomcat.addServlet(context, "answer", new Answer());
		context.addServletMappingDecoded("/", "answer");
		tomcat.start();
		tomcat.getServer().await();
	}
}
