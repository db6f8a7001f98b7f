// Prepended to the bundle, so it runs before anything that an old Node cannot load. A machine whose `node` is too old
// runs the bundle on the Node that the lockfile brings along, if it does; signals and the exit code pass through.
{
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (process.env.DURABLE_AGENT_LAUNCHER === "1" && process.channel !== undefined) {
    // Child of the launcher below: nothing may outlive it, not even when it was killed.
    process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
    process.channel.unref();
  } else if (major < 22 || (major === 22 && minor < 19)) {
    const { spawn } = await import("node:child_process");
    let newer;
    try {
      newer = require.resolve(`node-${process.platform}-${process.arch}/bin/node`);
    } catch {
      console.error(`Node 22.19 or newer is needed, this is ${process.versions.node}`);
      process.exit(1);
    }
    const child = spawn(newer, [...process.execArgv, ...process.argv.slice(1)], {
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: { ...process.env, DURABLE_AGENT_LAUNCHER: "1" },
    });
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
      // A terminal sends its signals to the child by itself.
      process.on(signal, () => (signal !== "SIGTERM" && process.stdin.isTTY === true) || child.kill(signal));
    }
    child.once("exit", (code, signal) => {
      process.removeAllListeners(signal ?? "exit");
      if (signal !== null) process.kill(process.pid, signal);
      else process.exit(code);
    });
    await new Promise(() => {});
  }
}
