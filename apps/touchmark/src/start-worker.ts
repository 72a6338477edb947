import { createWorker } from '#apps/worker';
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
    connection: server.connectionOf('worker'),
    registry,
  });
  await worker.start();
  return {
    readiness: async () => worker.ready(),
    stop: async () => {
      await worker.stop();
      await plane.close();
    },
  };
}
