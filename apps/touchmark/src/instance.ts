import { createSecretKey } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { systemClock, type Config } from '#kernel';
import { bootstrap, operatorTokenFile } from './bootstrap.js';
import { openDatabaseServer } from './database-server.js';
import { startMetrics, type Told } from './metrics.js';
import type { PlaneOptions, RunningPlane, Urls } from './plane.js';
import { openPlaneDatabase } from './plane-context.js';
import { ProcessMetrics } from './process-metrics.js';
import { choosePorts, portProblem, type Listener } from './ports.js';
import { openToken, signsElsewhere } from './local-signer.js';
import { ALL_PLANES, holdersOf, ORDER, ROLES, type Plane } from './plane-secrets.js';
import { openSecrets } from './secrets.js';
import { startReport } from './report-secrets.js';
import { SignerChild } from './signer-child.js';
import { startApi } from './start-api.js';
import { startEst } from './start-est.js';
import { startSigner } from './start-signer.js';
import { startStatus } from './start-status.js';
import { startWorker } from './start-worker.js';
import { startTracing } from './tracing.js';
import { watchSecrets } from './watch-secrets.js';
import { writeRoot } from './write-root.js';

export type { Plane } from './plane-secrets.js';

export interface Instance {
  urls: Urls;
  rootCertificatePath: string;
  operatorTokenPath: string;
  /** Graceful: finishes what is in flight, then stops the planes, then the database. At most once. */
  stop(): Promise<void>;
}

const START: Readonly<Record<Plane, (options: PlaneOptions) => Promise<RunningPlane>>> = {
  est: startEst,
  api: startApi,
  status: startStatus,
  worker: startWorker,
  signer: startSigner,
};

/**
 * Starts the given planes (default: all) in this process. With all of them, or on embedded Postgres, it brings the schema
 * up to date and makes what a first start makes; single planes on an external database expect that `init` has run.
 * Resolves when every plane listens and the first CRLs and OCSP signers are published.
 */
export async function startInstance(options: { config: Config; log: Logger; planes?: Plane[] }): Promise<Instance> {
  const { config, log } = options;
  const planes = ORDER.filter((plane) => (options.planes ?? ALL_PLANES).includes(plane));
  const setsUp = options.planes === undefined || planes.length === 0 || config.databaseUrl === undefined;
  const ports = await choosePorts(config, listenersOf(planes));
  const urls = urlsOf(config, ports);
  const secrets = openSecrets(config, holdersOf(config, planes, setsUp));
  const server = await openDatabaseServer(config, secrets, log);
  const running: RunningPlane[] = [];
  const endTracing = startTracing(config, log);
  const endWatch = watchSecrets(secrets, log);
  const holdsKeys = setsUp || !signsElsewhere(config);
  const token = holdsKeys ? openToken(config, log) : undefined;
  let child: SignerChild | undefined;
  let reporter: { stop(): Promise<void> } | undefined;
  const stop = once(async () => {
    await reporter?.stop();
    await stopAll(running, log);
    await child?.stop();
    token?.close();
    endWatch();
    await server.stop();
    await endTracing();
  });
  try {
    if (setsUp) await bootstrap(config, server, secrets, config.statusUrl ?? urls.status, log, token);
    if (config.signer.mode === 'child' && planes.some((plane) => ROLES[plane].signs)) {
      child = await SignerChild.start(
        config.databaseUrl === undefined ? server.connectionOf('migrate') : undefined,
        log,
      );
    }
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const metrics = new ProcessMetrics(registry);
    const parts: PlaneOptions = { config, server, secrets, log, registry, metrics, urls, token };
    // The worker first: what the others serve exists once it has started.
    for (const plane of planes) running.push(await START[plane](parts));
    for (const { app } of running) if (app) await listen(app.nest, config, app.listener, ports[app.listener] ?? 0);
    if (ports.metrics !== undefined && planes.length > 0) {
      const told = readinessOf(planes, [...running]);
      running.push(await startMetrics({ registry, ...told }, config.host, ports.metrics));
    }
    const rootCertificatePath = await writeRootOnce(parts, planes, setsUp);
    const [first] = planes;
    if (first) reporter = await startReport(parts, ROLES[first].role);
    return { urls, rootCertificatePath, operatorTokenPath: operatorTokenFile(config), stop };
  } catch (error) {
    await stop().catch((err: unknown) => log.warn({ err }, 'stopping after a failed start'));
    throw error;
  }
}

function listenersOf(planes: readonly Plane[]): Listener[] {
  const listeners = planes.filter((plane) => plane !== 'worker' && plane !== 'signer');
  return planes.length > 0 ? [...listeners, 'metrics'] : [];
}

/** What clients call; behind a wildcard address that is the first of TOUCHMARK_HOSTNAMES. */
function urlsOf(config: Config, ports: Partial<Record<Listener, number>>): Urls {
  const wildcard = config.host === '0.0.0.0' || config.host === '::';
  const name = wildcard ? (config.hostnames[0] ?? 'localhost') : config.host;
  const host = name.includes(':') ? `[${name}]` : name;
  return {
    est: `https://${host}:${ports.est ?? config.ports.est}`,
    api: `https://${host}:${ports.api ?? config.ports.api}`,
    status: `http://${host}:${ports.status ?? config.ports.status}`,
  };
}

async function listen(
  nest: NestFastifyApplication,
  config: Config,
  listener: Exclude<Listener, 'metrics'>,
  port: number,
): Promise<void> {
  try {
    await nest.listen(port, config.host);
  } catch (error) {
    throw portProblem(error as NodeJS.ErrnoException, config.host, port, listener);
  }
}

/** Each reason with the plane that gives it, in the order of `planes`. */
function readinessOf(planes: readonly Plane[], running: readonly RunningPlane[]): Omit<Told, 'registry'> {
  const named = (reasons: readonly string[][]): string[] =>
    reasons.flatMap((some, index) => some.map((reason) => `${planes[index] ?? 'plane'}: ${reason}`));
  return {
    readiness: async () => named(await Promise.all(running.map(async ({ readiness }) => (await readiness?.()) ?? []))),
    degraded: () => named(running.map(({ degraded }) => degraded?.() ?? [])),
  };
}

async function writeRootOnce(parts: PlaneOptions, planes: readonly Plane[], setsUp: boolean): Promise<string> {
  const role = setsUp ? 'worker' : ROLES[planes[0] ?? 'worker'].role;
  const database = await openPlaneDatabase(parts, role);
  const { statusMacKey } = parts.secrets.of(role === 'signer' ? 'signerService' : role);
  try {
    return await writeRoot(parts.config, { database, macKey: createSecretKey(statusMacKey), clock: systemClock });
  } finally {
    await database.close();
  }
}

/** Listening planes first, in the order that lets requests end; the worker after them; the signer last of the planes. */
async function stopAll(running: readonly RunningPlane[], log: Logger): Promise<void> {
  const quietly = (plane: RunningPlane) =>
    plane.stop().catch((err: unknown) => log.warn({ err }, 'a plane did not stop cleanly'));
  for (const plane of running) plane.expectStop?.();
  await Promise.all(running.filter((plane) => plane.app).map(quietly));
  const others = running.filter((plane) => !plane.app);
  await Promise.all(others.filter((plane) => plane.last !== true).map(quietly));
  await Promise.all(others.filter((plane) => plane.last === true).map(quietly));
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}
