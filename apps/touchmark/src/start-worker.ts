import { createWorker } from '#apps/worker';
import type { PlaneOptions, RunningPlane } from './instance.js';
import { openPlane } from './plane-context.js';

/** Resolves when the first CRLs and OCSP signers are published: until then the others would have nothing to serve. */
export async function startWorker(options: PlaneOptions): Promise<RunningPlane> {
  const { config, secrets, server } = options;
  const plane = await openPlane(options, 'worker');
  const worker = await createWorker({
    config,
    authority: plane.authority,
    database: plane.database,
    follower: plane.follower,
    ocspKek: secrets.of('worker').ocspKek,
    connection: server.connectionOf('worker'),
  });
  await worker.start();
  return {
    stop: async () => {
      await worker.stop();
      await plane.close();
    },
  };
}
