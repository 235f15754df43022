package com.example.interop.peer;

import com.alibaba.com.caucho.hessian.io.Hessian2Input;
import com.alibaba.com.caucho.hessian.io.Hessian2Output;
import com.alibaba.com.caucho.hessian.io.SerializerFactory;

import org.apache.dubbo.common.serialize.hessian2.Hessian2FactoryManager;
import org.apache.dubbo.common.utils.SerializeCheckStatus;
import org.apache.dubbo.common.utils.SerializeSecurityManager;
import org.apache.dubbo.rpc.model.FrameworkModel;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Hessian2 as Dubbo configures it, without a connection around it. Its class check is off: every
 * class on the class path is read and written. It lives in a framework model of its own, so that
 * the check of a provider or consumer in the same process stays as strict as Dubbo ships it.
 */
final class Codec {
    private static final SerializerFactory FACTORY = factory();

    private Codec() {}

    private static SerializerFactory factory() {
        FrameworkModel framework = new FrameworkModel();
        SerializeSecurityManager security =
                framework.getBeanFactory().getBean(SerializeSecurityManager.class);
        security.setCheckStatus(SerializeCheckStatus.DISABLE);
        security.setDefaultCheckStatus(SerializeCheckStatus.DISABLE);
        security.addToAlwaysAllowed("com.example.");
        return framework
                .getBeanFactory()
                .getBean(Hessian2FactoryManager.class)
                .getSerializerFactory(Codec.class.getClassLoader());
    }

    static byte[] encode(Object value) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Hessian2Output output = new Hessian2Output(bytes);
        output.setSerializerFactory(FACTORY);
        output.writeObject(value);
        output.flush();
        return bytes.toByteArray();
    }

    /**
     * Reads one value and nothing after it.
     *
     * @param type what is declared where the value stands, null for nothing.
     */
    static Object decode(byte[] bytes, Class<?> type) throws IOException {
        Hessian2Input input = new Hessian2Input(new ByteArrayInputStream(bytes));
        input.setSerializerFactory(FACTORY);
        Object value = type == null ? input.readObject() : input.readObject(type);
        if (input.read() >= 0) {
            throw new IOException("octets after the value");
        }
        return value;
    }

    /** Name and version of the library, from the name of its jar: "hessian-lite 4.0.4". */
    static String producer() {
        String jar =
                Path.of(
                                Hessian2Output.class
                                        .getProtectionDomain()
                                        .getCodeSource()
                                        .getLocation()
                                        .getPath())
                        .getFileName()
                        .toString();
        return jar.replaceAll("-([0-9].*)\\.jar$", " $1");
    }
}
