// A cluster that runs pods, whichever way it was made: what scenarios may ask of it.

/** A running cluster. */
export interface Cluster {
  /** Path of a kubeconfig of a member of system:masters. */
  readonly kubeconfig: string;
  /** Where this machine reaches the node ports of Services. */
  readonly nodeAddress: string;
  /** Path of the API server's audit log, where it can be read from here. */
  readonly auditLog?: string;
  /** Folders in which kubelets keep the logs of pods, where they can be read from here. */
  readonly podLogs?: readonly string[];
  /** Runs kubectl as admin and resolves to its output; rejects with its message when it fails. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Imports an image archive on every node. */
  loadImages(archive: string): Promise<void>;
  /** Ends everything and puts the machine back as it was. Calling it twice is harmless. */
  stop(): Promise<void>;
}

/** Settings that every kind of cluster has. */
export interface ClusterSettings {
  /** Image archives to import on every node. */
  readonly images?: readonly string[];
  /** Nodes that run pods. */
  readonly nodes?: number;
}
