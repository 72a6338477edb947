import { Readable } from 'node:stream';
import { Controller, Get, Query, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse } from '@nestjs/swagger';
import type { z } from 'zod';
import { exportSize, proveConsistency, proveInclusion, readCheckpoint } from '#audit';
import type { Actor, AuthorityContext } from '#authority';
import { AuthorityError } from '#kernel';
import { listAudit, type AuditFilter } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { auditCsv, auditJsonLines, leafLines } from '../audit-export.js';
import { By, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  auditEventJson,
  auditPage,
  auditQuery,
  checkpointQuery,
  exportQuery,
  proofQuery,
  proofSchema,
} from '../schema/audit.js';

const CSV = 'text/csv';
const JSON_LINES = 'application/jsonl';

@Controller('v1/audit')
export class AuditRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get('events')
  @Access('audit:read')
  @ApiProduces('application/json', CSV, JSON_LINES)
  @Answers(
    'List audit events; Accept: text/csv or application/jsonl exports all that the filters let through',
    auditPage,
  )
  async events(
    @By() by: Actor,
    @Http() http: Exchange,
    @Query({ schema: auditQuery }) query: z.infer<typeof auditQuery>,
  ) {
    const filter = filterOf(query);
    void http.reply.header('vary', 'Accept');
    const accept = http.request.headers.accept ?? '';
    if (accepts(accept, CSV)) return download(http, auditCsv(this.a, by, filter), 'audit.csv', CSV);
    if (accepts(accept, JSON_LINES))
      return download(http, auditJsonLines(this.a, by, filter), 'audit.jsonl', JSON_LINES);
    const { items, nextCursor } = await read(this.a, by, (tx) => listAudit(tx, query, filter));
    return { items: items.map(auditEventJson), nextCursor };
  }

  @Get('checkpoint')
  @Access('audit:read')
  @ApiProduces('text/plain')
  @ApiOperation({
    summary: 'A checkpoint of the audit log as a signed note (C2SP tlog-checkpoint), with its cosignatures',
  })
  @ApiResponse({
    status: 200,
    description: 'the newest, or the one of that size',
    content: { 'text/plain': { schema: { type: 'string' } } },
  })
  async checkpoint(
    @By() by: Actor,
    @Http() { reply }: Exchange,
    @Query({ schema: checkpointQuery }) { size }: z.infer<typeof checkpointQuery>,
  ) {
    const { note } = await read(this.a, by, (tx) => readCheckpoint(tx, size));
    void reply.header('content-type', 'text/plain; charset=utf-8');
    return note;
  }

  @Get('proof')
  @Access('audit:read')
  @Answers('Prove that an event is in the log, or that the log of one size continues that of another', proofSchema)
  async proof(@By() by: Actor, @Query({ schema: proofQuery }) query: z.infer<typeof proofQuery>) {
    const { event, from = 0, to = 0 } = query;
    if (event === undefined) {
      const hashes = await read(this.a, by, (tx) => proveConsistency(tx, from, to));
      return { from, to, hashes: hashes.map(toHex) };
    }
    const { leafHash, hashes, ...proof } = await read(this.a, by, (tx) => proveInclusion(tx, event));
    return { ...proof, leafHash: toHex(leafHash), hashes: hashes.map(toHex) };
  }

  @Get('export')
  @Access('audit:read')
  @ApiProduces(JSON_LINES)
  @ApiOperation({ summary: 'The log itself: line n is leaf n of the tree, what "touchmark audit verify" reads' })
  @ApiResponse({
    status: 200,
    description: 'exactly the leaves of the newest checkpoint, or of the given size',
    content: { 'application/jsonl': { schema: { type: 'string' } } },
  })
  async export(
    @By() by: Actor,
    @Http() http: Exchange,
    @Query({ schema: exportQuery }) query: z.infer<typeof exportQuery>,
  ) {
    requireAuthority(by);
    const size = await read(this.a, by, (tx) => exportSize(tx, query.size));
    return download(http, leafLines(this.a, by, size), `audit-${size}.jsonl`, JSON_LINES);
  }
}

/** The log holds the events of every organization: whole, it is the authority's alone to read. */
export function requireAuthority(by: Actor): void {
  if (!by.authority) throw new AuthorityError('forbidden', 'the whole log is for the authority alone');
}

function filterOf({ from, to, ...filter }: z.infer<typeof auditQuery>): AuditFilter {
  return {
    ...filter,
    ...(from !== undefined && { from: new Date(from) }),
    ...(to !== undefined && { to: new Date(to) }),
  };
}

function accepts(header: string, mediaType: string): boolean {
  return header.split(',').some((one) => one.split(';', 1)[0]?.trim().toLowerCase() === mediaType);
}

function download({ reply }: Exchange, lines: AsyncIterable<string | Buffer>, name: string, type: string) {
  void reply.header('content-disposition', `attachment; filename="${name}"`);
  return new StreamableFile(Readable.from(lines), { type: `${type}; charset=utf-8` });
}

const toHex = (hash: Buffer): string => hash.toString('hex');
