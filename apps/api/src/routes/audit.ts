import { Controller, Get, Query } from '@nestjs/common';
import type { z } from 'zod';
import type { Actor, AuthorityContext } from '#authority';
import { listAudit } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, read, TheAuthority } from '../authority-module.js';
import { auditEventJson, auditPage, auditQuery } from '../schema/audit.js';

@Controller('v1/audit')
export class AuditRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get('events')
  @Access('audit:read')
  @Answers('List audit events', auditPage)
  async events(@By() by: Actor, @Query({ schema: auditQuery }) query: z.infer<typeof auditQuery>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listAudit(tx, query, query));
    return { items: items.map(auditEventJson), nextCursor };
  }
}
