import { mkdir } from 'node:fs/promises';
import type { Laboratory } from './enrolled.js';
import { freePort, startServer, type ServerProcess } from './server.js';

export interface Nginx extends ServerProcess {
  port: number;
}

/** nginx in the foreground with one `server` block, all its files in the laboratory. */
export async function startNginx(
  laboratory: Laboratory,
  name: string,
  server: (port: number) => string,
  http = '',
): Promise<Nginx> {
  const port = await freePort();
  const prefix = laboratory.file(name);
  await mkdir(prefix, { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${prefix}/${kind};`,
  );
  const configuration = `daemon off; pid ${prefix}/nginx.pid; error_log stderr warn;
events {}
http { access_log off; ${temporary.join(' ')}
${http}
server {
${server(port)}
} }
`;
  const file = await laboratory.write(`${name}.conf`, configuration);
  const running = await startServer('nginx', ['-c', file, '-p', prefix, '-e', 'stderr', '-g', runAs()], port);
  return { ...running, port };
}

/** Workers of root's nginx become another user, who cannot read a private temporary directory. */
function runAs(): string {
  return process.getuid?.() === 0 ? 'user root;' : '';
}
