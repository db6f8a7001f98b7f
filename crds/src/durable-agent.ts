// Generated from durable-agent.dev_durableagents.yaml by tools/generate-types.ts. Do not edit.

/** What an object of the API server carries besides spec and status, as far as the operator reads it. */
export interface ObjectMeta {
  name: string;
  namespace: string;
  uid: string;
  generation: number;
  resourceVersion: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
}

/** One DurableAgent as the API server returns it, defaults filled in. */
export interface DurableAgent {
  apiVersion: "durable-agent.dev/v1alpha1";
  kind: "DurableAgent";
  metadata: ObjectMeta;
  spec: DurableAgentSpec;
  status?: DurableAgentStatus;
}

/** What the user wants. Everything but the workload has a default that works. */
export interface DurableAgentSpec {
  /** The Deployment or StatefulSet in the same namespace whose pods run the agent. It cannot be changed; delete the DurableAgent and create another. */
  workload: {
    /** The kind of the workload. */
    kind: "Deployment" | "StatefulSet";
    /** The name of the workload. */
    name: string;
  };
  /** Where in the pod the agent speaks A2A. */
  agent: {
    /** The agent's container. Default: the only container. With several containers it has to be named. */
    container?: string;
    /** The port of that container on which the agent speaks A2A, by number or name. Default: the port named a2a, else the one named http, else the only one. */
    port?: number | string;
    /** The environment variable from which the agent reads its port. Needed for traffic.mode PortEnv. */
    portEnv?: string;
  };
  /** How requests reach the sidecar instead of the agent. */
  traffic: {
    /** NamedPort: the sidecar takes the port name the Services use. Service: the Services' targetPort is changed. PortEnv: the sidecar takes the agent's port number and the agent is moved. Auto: NamedPort where possible, else PortEnv where agent.portEnv is set, else Service; a mode in force stays as long as it works. */
    mode: "Auto" | "NamedPort" | "Service" | "PortEnv";
  };
  /** The Postgres database that holds the tasks. */
  store: {
    /** A Secret in the same namespace with the key url (postgresql://…) and, if needed, ca.crt. Default: the operator's own database, copied. */
    secretRef?: {
      /** The name of the Secret. */
      name: string;
    };
  };
  /** The NATS server that carries events between pods. */
  relay: {
    /** A Secret in the same namespace with the key url (nats://…) and, if needed, ca.crt and user.creds. Default: the operator's own NATS, copied. */
    secretRef?: {
      /** The name of the Secret. */
      name: string;
    };
  };
  /** What happens to a turn whose pod is gone. */
  recovery: {
    /** Redispatch: another pod runs the message again, at least once in all. Fail: the task ends as failed with a reason, for agents whose side effects must not repeat. */
    policy: "Redispatch" | "Fail";
    /** How often a message is run at most before its task fails. Planned hand-overs do not count. */
    maxAttempts: number;
  };
  /** Context: new messages of a known context go to the pod that last ran it while it lives. None: any pod. */
  affinity: "Context" | "None";
  /** How long finished tasks are kept. */
  retention: {
    /** Time from a task's terminal state to its removal, for example 168h. */
    finishedTasks: string;
  };
  /** How long a retried send is recognised as the same send. */
  idempotency: {
    /** Time from the end of the first send's turn, for example 24h; 0s turns it off. */
    window: string;
  };
  /** Who may see which task. Only None is available, under which all callers of an agent are one. */
  access?: {
    /** Agent: the agent is asked. Jwt: tokens are verified against a key set. Header: a header of the mesh or gateway is trusted. None: everybody is one caller. */
    mode: "Agent" | "Jwt" | "Header" | "None";
    /** How tokens are verified. */
    jwt?: {
      /** Where the key set (JWKS) is fetched. */
      jwksUrl: string;
      /** The required iss claim. */
      issuer?: string;
      /** The required aud claim. */
      audience?: string;
    };
    /** Which header names the caller. */
    header?: {
      /** The header's name. Whatever stands in front of the pods has to set it on every request and to remove the client's own. */
      name: string;
    };
  };
  /** Where push notifications may be sent. */
  push: {
    /** Host patterns and CIDRs. Default: public addresses only. */
    allow?: string[];
  };
  /** What a pod does before it goes. */
  drain: {
    /** How long turns may go on before they are handed over, and streams before they end. The pod's terminationGracePeriodSeconds is raised to this and 10 seconds where it is shorter. */
    gracePeriod: string;
  };
  /** Evict pods that carry the label but run without a sidecar. Without it they are only reported. */
  replaceUninjected: boolean;
  /** What happens when an operator upgrade brings another sidecar. OnNextRollout: nothing until the user's next rollout. Rolling: the operator restarts one workload at a time. */
  upgrade: "OnNextRollout" | "Rolling";
  /** The sidecar container. */
  sidecar: {
    /** The sidecar's image. Default: the one the operator was installed with. */
    image?: string;
    /** Put the sidecar before the pod's other init containers, for init containers that call other agents. Needs a server of 1.29 or later. */
    first: boolean;
    /** The least severe level that is logged. */
    logLevel: "debug" | "info" | "warn" | "error";
    /** What the sidecar asks of the node. There are no limits on purpose, a throttled sidecar delays every request. */
    resources?: {
      /** Requested cpu and memory, as in any container. */
      requests?: {
        /** CPU, for example 50m. */
        cpu?: number | string;
        /** Memory, for example 128Mi. */
        memory?: number | string;
      };
    };
    /** Further environment variables of the sidecar. Those that the operator sets itself are refused. */
    env?: {
      /** The variable's name. */
      name: string;
      /** The variable's value, in plain text. */
      value: string;
    }[];
  };
}

/** DurableAgentCondition */
export interface DurableAgentCondition {
  /** The condition's type. */
  type: string;
  /** True, False or Unknown. */
  status: "True" | "False" | "Unknown";
  /** One word from the list in the operator's README. */
  reason: string;
  /** What is the case and what to do about it. */
  message: string;
  /** The generation of the spec that this condition is about. */
  observedGeneration?: number;
  /** When the status last changed. */
  lastTransitionTime: string;
}

/** What the operator observed. */
export interface DurableAgentStatus {
  /** The generation of the spec that this status is about. */
  observedGeneration?: number;
  /** Ready, Injected, TrafficRouted, StoreReady and RelayReady, each with a reason from one list. */
  conditions?: DurableAgentCondition[];
  /** Pods of the workload. */
  replicas?: number;
  /** Pods of the workload that run with a sidecar. */
  injectedReplicas?: number;
  /** Both numbers, for the printed table. */
  injected?: string;
  /** What the operator resolved before it touched the workload; admission goes by it. */
  target?: {
    /** The agent's container. */
    container: string;
    /** The agent's port number in the workload's template. */
    port: number;
    /** That port's name in the workload's template, if it has one. */
    portName?: string;
    /** The traffic mode in force. */
    trafficMode: "NamedPort" | "Service" | "PortEnv";
  };
  /** Counts from the database, refreshed every 30 seconds. */
  tasks?: {
    /** Tasks in submitted or working state. */
    working?: number;
    /** Tasks that wait for input or authentication. */
    interrupted?: number;
    /** Tasks in a terminal state that are still kept. */
    finished?: number;
    /** When the oldest working task was created. */
    oldestWorking?: string;
  };
}

/** The defaults of the schema, as the API server fills them into a spec. */
export const specDefaults = {
  agent: {},
  traffic: { mode: "Auto" },
  store: {},
  relay: {},
  recovery: { policy: "Redispatch", maxAttempts: 3 },
  affinity: "Context",
  retention: { finishedTasks: "168h" },
  idempotency: { window: "24h" },
  push: {},
  drain: { gracePeriod: "25s" },
  replaceUninjected: false,
  upgrade: "OnNextRollout",
  sidecar: { first: false, logLevel: "info" },
};
