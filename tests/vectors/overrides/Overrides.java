import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.rpc.cluster.Configurator;
import org.apache.dubbo.rpc.cluster.configurator.parser.ConfigParser;

/**
 * What Dubbo makes of each rule of a file of cases, written back into it: the parameters timeout
 * and weight of a URL after its configurators. Run it where the own address is 127.0.0.1 (a network
 * namespace with nothing but lo):
 *
 *   javac -cp 'LIB/*' Overrides.java && java -cp 'LIB/*:.' Overrides cases.json
 *
 * where LIB has dubbo and its dependencies, as tests/interop/java/build.sh leaves them.
 */
public final class Overrides {
    private static final String PROVIDER = "dubbo://10.0.0.1:20880/com.example.GreetService"
            + "?version=1.0.0&interface=com.example.GreetService&zone=a";

    public static void main(String[] arguments) throws Exception {
        Path path = Path.of(arguments[0]);
        JSONObject file = JSON.parseObject(Files.readString(path));
        JSONArray cases = file.getJSONArray("cases");
        for (int i = 0; i < cases.size(); i++) {
            JSONObject one = cases.getJSONObject(i);
            boolean consumer = "consumer".equals(one.getString("asked_by"));
            URL url = URL.valueOf(PROVIDER + (consumer
                    ? "&side=consumer&application=shop-web"
                    : "&side=provider&application=greeter"));
            for (Configurator each : Configurator
                    .toConfigurators(ConfigParser.parseConfigurators(one.getString("rule")))
                    .orElse(Collections.emptyList())) {
                url = each.configure(url);
            }
            one.put("timeout", url.getParameter("timeout"));
            one.put("greet.timeout", url.getMethodParameter("greet", "timeout"));
            one.put("weight", url.getParameter("weight"));
        }
        file.put("producer", "org.apache.dubbo:dubbo:" + org.apache.dubbo.common.Version.getVersion());
        Files.writeString(path, JSON.toJSONString(file,
                JSONWriter.Feature.PrettyFormatWith2Space, JSONWriter.Feature.WriteNulls) + "\n");
        System.exit(0);
    }
}
