import org.springframework.cloud.schema.registry.SchemaReference;
import org.springframework.cloud.schema.registry.SchemaRegistrationResponse;
import org.springframework.cloud.schema.registry.client.ConfluentSchemaRegistryClient;

/** Spring Cloud's client of Confluent's registry: all that it has. */
class Spring {
    static final String SCHEMA =
        "{\"type\":\"record\",\"name\":\"Sensor\",\"namespace\":\"spring\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}";

    static void run() {
        ConfluentSchemaRegistryClient client = new ConfluentSchemaRegistryClient();
        client.setEndpoint(Main.REGISTRY);
        String subject = Main.named("sensor");
        SchemaRegistrationResponse response = client.register(subject, "avro", SCHEMA);
        System.out.println("version " + response.getSchemaReference().getVersion());
        System.out.println("the same again: " + (client.register(subject, "avro", SCHEMA).getId() == response.getId()));
        System.out.println("by reference: " + client.fetch(response.getSchemaReference()));
        System.out.println("by id: " + client.fetch(response.getId()));
        for (Runnable wrong : new Runnable[] {
            () -> client.fetch(new SchemaReference(subject, 9, "avro")),
            () -> client.fetch(1_000_000),
            () -> client.register(subject, "avro", SCHEMA.replace("\"string\"", "\"int\"")),
        }) {
            try {
                wrong.run();
                System.out.println("NOT REFUSED");
            } catch (RuntimeException refused) {
                System.out.println("refused: " + refused.getClass().getSimpleName());
            }
        }
    }
}
