/** Tells API servers which authorities vouch for the webhook. */
import { type WebhookConfiguration, webhookConfigurations } from "../../kubernetes/resource-types.ts";
import { type Cluster, ClusterError } from "../../ports/cluster.ts";
import type { TrustPublisher } from "../../ports/certificates.ts";

/** Publishes into the webhooks of one configuration, which the chart installs without a caBundle. */
export function createTrustPublisher(cluster: Cluster, name: string): TrustPublisher {
  const read = async (): Promise<WebhookConfiguration> => {
    const configuration = await cluster.read(webhookConfigurations, { name });
    if (configuration === undefined)
      throw new ClusterError("notFound", `the webhook configuration ${name} is not installed`);
    return configuration;
  };
  return {
    published: async () =>
      ((await read()).webhooks ?? []).map(({ clientConfig }) =>
        Buffer.from(clientConfig.caBundle ?? "", "base64").toString("utf8"),
      ),
    publish: async (bundle) => {
      const { webhooks = [], metadata } = await read();
      const caBundle = Buffer.from(bundle, "utf8").toString("base64");
      // Apply merges by webhook name; the uid keeps a deleted configuration from coming back as a torso.
      await cluster.apply(webhookConfigurations, {
        metadata: { name, ...(metadata.uid === undefined ? {} : { uid: metadata.uid }) },
        webhooks: webhooks.map((webhook) => ({ name: webhook.name, clientConfig: { caBundle } })),
      });
    },
  };
}
