import { Controller, Get, StreamableFile } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { parseTilePath, readCheckpoint, readTile } from '#audit';
import type { Actor, AuthorityContext } from '#authority';
import type { Tx } from '#store';
import { Access } from '../access.js';
import { By, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { requireAuthority } from './audit.js';
import { absent, found } from './path-forms.js';

const PREFIX = '/tlog/tile/';
/** A tile never changes; a checkpoint is followed by the next within a second. */
const FOR_EVER = 'public, max-age=31536000, immutable';
const BRIEFLY = 'public, max-age=1';

/**
 * The audit log as C2SP tlog-tiles serves it, for monitors and mirrors that others wrote. Hashes are public: they tell how
 * much was done, never what. Entries are for the authority.
 */
@ApiExcludeController()
@Controller('tlog')
export class TlogRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get('checkpoint')
  @Access('public', { hot: true })
  async checkpoint(@Http() { reply }: Exchange) {
    const { note } = await this.a.database.transaction((tx) => readCheckpoint(tx));
    void reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', BRIEFLY);
    return note;
  }

  @Get('tile/entries/*')
  @Access('audit:read')
  entries(@By() by: Actor, @Http() http: Exchange) {
    requireAuthority(by);
    return this.tile(http, (work) => read(this.a, by, work));
  }

  @Get('tile/*')
  @Access('public', { hot: true })
  hashes(@Http() http: Exchange) {
    return this.tile(http, (work) => this.a.database.transaction(work));
  }

  private async tile(
    { request, reply }: Exchange,
    reading: (work: (tx: Tx) => Promise<Buffer | undefined>) => Promise<Buffer | undefined>,
  ) {
    const path = (request.raw.url ?? '').split('?', 1)[0] ?? '';
    const tile = parseTilePath(path.startsWith(PREFIX) ? path.slice(PREFIX.length) : '');
    const isEntries = path.startsWith(`${PREFIX}entries/`);
    // The path decided who may read; what it names must be of the same kind.
    if (tile === undefined || (tile.level === 'entries') !== isEntries) throw absent('tile');
    const bytes = found(await reading((tx) => readTile(tx, tile)), 'tile');
    void reply.header('cache-control', isEntries ? 'private, max-age=31536000, immutable' : FOR_EVER);
    return new StreamableFile(bytes, { type: 'application/octet-stream', length: bytes.length });
  }
}
