import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.Map;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.config.configcenter.ConfigChangeType;
import org.apache.dubbo.common.config.configcenter.ConfigChangedEvent;
import org.apache.dubbo.common.config.configcenter.ConfigurationListener;
import org.apache.dubbo.common.utils.Holder;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.RpcInvocation;
import org.apache.dubbo.rpc.cluster.router.affinity.config.AffinityServiceStateRouter;
import org.apache.dubbo.rpc.cluster.router.condition.config.AppStateRouter;
import org.apache.dubbo.rpc.cluster.router.condition.config.ProviderAppStateRouter;
import org.apache.dubbo.rpc.cluster.router.condition.config.ServiceStateRouter;
import org.apache.dubbo.rpc.cluster.router.state.AbstractStateRouter;
import org.apache.dubbo.rpc.cluster.router.state.BitList;
import org.apache.dubbo.rpc.cluster.router.state.TailStateRouter;
import org.apache.dubbo.rpc.cluster.router.tag.TagStateRouter;
import org.apache.dubbo.rpc.model.ApplicationModel;

/**
 * Asks Dubbo's own routers which providers a rule leaves for a call.
 *
 * <p>Reads one case a line, as JSON: `router` (condition, application, provider, tag, affinity),
 * `rules` (texts of YAML, given one after the other; null deletes), `consumer` (a URL), `providers`
 * (URLs), `method`, `arguments` (strings), `attachments`, `times`. Writes one line a case:
 * `{"left": {"10.0.0.1:20880,...": COUNT}}`, how often each set was left in that many calls.
 */
public final class RuleOracle {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // Dubbo's own chatter
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JSONObject answer = new JSONObject();
            try {
                answer.put("left", left(JSON.parseObject(line)));
            } catch (Exception failed) {
                answer.put("error", String.valueOf(failed));
            }
            out.println(answer.toJSONString());
        }
        System.exit(0); // Dubbo leaves threads behind
    }

    private static Map<String, Integer> left(JSONObject test) {
        URL consumer =
                URL.valueOf(test.getString("consumer"))
                        .setScopeModel(ApplicationModel.defaultModel().getDefaultModule());
        List<Invoker<Object>> invokers = new ArrayList<>();
        for (Object each : test.getJSONArray("providers")) {
            invokers.add(invoker(URL.valueOf((String) each)));
        }
        BitList<Invoker<Object>> providers = new BitList<>(invokers);
        AbstractStateRouter<Object> router = router(test.getString("router"), consumer);
        router.setNextRouter(TailStateRouter.getInstance());
        router.notify(providers);
        JSONArray rules = test.getJSONArray("rules");
        for (Object rule : rules) {
            ConfigChangeType change =
                    rule == null ? ConfigChangeType.DELETED : ConfigChangeType.MODIFIED;
            ((ConfigurationListener) router)
                    .process(new ConfigChangedEvent("rule", "dubbo", (String) rule, change));
        }
        Map<String, Integer> counts = new TreeMap<>();
        for (int call = 0; call < test.getIntValue("times", 1); call++) {
            RpcInvocation invocation = new RpcInvocation();
            invocation.setMethodName(test.getString("method"));
            invocation.setArguments(test.getJSONArray("arguments").toArray());
            JSONObject attachments = test.getJSONObject("attachments");
            for (String key : attachments.keySet()) {
                invocation.setAttachment(key, attachments.getString(key));
            }
            List<String> kept = new ArrayList<>();
            for (Invoker<Object> each :
                    router.route(providers.clone(), consumer, invocation, false, new Holder<>())) {
                kept.add(each.getUrl().getAddress());
            }
            counts.merge(String.join(",", kept), 1, Integer::sum);
        }
        return counts;
    }

    private static AbstractStateRouter<Object> router(String kind, URL consumer) {
        switch (kind) {
            case "condition":
                return new ServiceStateRouter<>(consumer);
            case "application":
                return new AppStateRouter<>(consumer);
            case "provider":
                return new ProviderAppStateRouter<>(consumer);
            case "tag":
                return new TagStateRouter<>(consumer);
            case "affinity":
                return new AffinityServiceStateRouter<>(consumer);
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    @SuppressWarnings("unchecked")
    private static Invoker<Object> invoker(URL url) {
        return (Invoker<Object>)
                Proxy.newProxyInstance(
                        RuleOracle.class.getClassLoader(),
                        new Class<?>[] {Invoker.class},
                        (self, method, given) -> {
                            switch (method.getName()) {
                                case "getUrl":
                                    return url;
                                case "isAvailable":
                                    return true;
                                case "equals":
                                    return self == given[0];
                                case "hashCode":
                                    return System.identityHashCode(self);
                                case "toString":
                                    return url.toString();
                                default:
                                    return null;
                            }
                        });
    }
}
