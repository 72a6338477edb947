import { createEst, renewTls } from '#apps/est';
import type { PlaneOptions, RunningPlane } from './instance.js';
import { openPlane } from './plane-context.js';
import { planeReadiness } from './readiness.js';
import { keepTlsFresh } from './keep-tls-fresh.js';
import { currentServerTls } from './server-tls.js';

export async function startEst(options: PlaneOptions): Promise<RunningPlane> {
  const { config, secrets, registry } = options;
  const plane = await openPlane(options, 'est');
  const { authority } = plane;
  const { tlsKey } = secrets.of('est');
  const { tls } = await currentServerTls(config, authority, 'est', tlsKey);
  const nest = await createEst({
    config,
    authority,
    tls,
    cacerts: async () => (await authority.issuers.list()).map((issuer) => issuer.certificate),
    registry,
    log: authority.log,
    readiness: () => planeReadiness(plane),
  });
  const stopRenewing = keepTlsFresh(config, authority, 'est', tlsKey, (renewed) => renewTls(nest, renewed));
  return {
    app: { listener: 'est', nest },
    stop: async () => {
      stopRenewing();
      await nest.close();
      await plane.close();
    },
  };
}
