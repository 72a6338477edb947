import { expectThat, type Telling } from '../narrator.js';
import { member, NODE_HTTP, type Release, type Workbench } from '../workbench.js';

/** A vendor, its app, and the release that keys and devices belong to. */
export async function registerRelease({ api }: Workbench, { fact, verified }: Telling): Promise<Release> {
  const vendorId = member(await api.post('/v1/organizations', { name: 'Example Apps', kind: 'vendor' }), 'id');
  const appId = member(await api.post('/v1/apps', { name: 'Video phone', vendorId }), 'id');
  const releaseId = member(await api.post(`/v1/apps/${appId}/releases`, { version: '1.0.0', platform: 'linux' }), 'id');
  fact(`vendor ${vendorId}, app ${appId}, release ${releaseId}`);
  const found = await api.get(`/v1/organizations/${vendorId}`);
  expectThat(member(found, 'kind') === 'vendor', `the vendor reads back as ${JSON.stringify(found)}`);
  verified('the vendor reads back as it was written', NODE_HTTP);
  return { appId, releaseId };
}
