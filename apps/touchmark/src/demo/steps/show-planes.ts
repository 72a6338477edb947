import { expectThat, type Telling } from '../narrator.js';
import { send } from '../send.js';
import { NODE_HTTP, type Workbench } from '../workbench.js';

/** Every plane answers that it is ready, over TLS that leads to the root where it has TLS. */
export async function showPlanes({ urls, root }: Workbench, { fact, verified }: Telling): Promise<void> {
  for (const [plane, url] of Object.entries(urls)) {
    const { status, body } = await send(`${url}/readyz`, { tls: { ca: root } });
    expectThat(status === 200, `${plane} is not ready: ${body.toString()}`);
    fact(`${plane.padEnd(6)} ${url}`);
  }
  verified('each plane says it is ready; the servers of EST and API are certified by our own root', NODE_HTTP);
}
