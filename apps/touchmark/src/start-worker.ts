import { readFile } from 'node:fs/promises';
import { createWorker, type WorkerDeps } from '#apps/worker';
import { canaryTokenFile } from './bootstrap.js';
import { replaceFile } from './home.js';
import type { PlaneOptions, RunningPlane } from './plane.js';
import { onPlane, type PlaneContext } from './plane-context.js';

/** Resolves when the first CRLs and OCSP signers are published: until then the others would have nothing to serve. */
export const startWorker = (options: PlaneOptions): Promise<RunningPlane> =>
  onPlane(options, 'worker', (plane) => runWorker(options, plane));

async function runWorker(options: PlaneOptions, plane: PlaneContext): Promise<RunningPlane> {
  const { config, secrets, server, registry, metrics } = options;
  metrics.watch('worker', plane);
  const worker = await createWorker({
    config,
    authority: plane.authority,
    database: plane.database,
    follower: plane.follower,
    ocspKek: secrets.of('worker').ocspKek,
    auditKek: secrets.of('worker').auditKek,
    replaceFile,
    canary: await canaryOf(options),
    connection: server.connectionOf('worker'),
    registry,
  });
  await worker.start();
  return {
    readiness: async () => worker.ready(),
    degraded: plane.degraded,
    expectStop: () => worker.expectStop(),
    stop: async () => {
      await worker.stop();
      await plane.close();
    },
  };
}

/** Its token is made by the first start (or `init`), so it is looked for only now. */
async function canaryOf({ config, urls, log }: PlaneOptions): Promise<WorkerDeps['canary']> {
  if (config.canarySeconds === 0) return undefined;
  const file = canaryTokenFile(config);
  const token = await readFile(file, 'utf8').catch(() => undefined);
  if (token === undefined) {
    log.warn({ file }, 'there is no inner canary: its token is missing; "touchmark init" makes one');
    return undefined;
  }
  const { api = urls.api, est = urls.est, status = urls.status } = config.canaryUrls;
  return { everySeconds: config.canarySeconds, urls: { api, est, status }, token: token.trim() };
}
