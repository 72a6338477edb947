import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { proposeObtainedRevocation, readObtained, type Actor, type AuthorityContext } from '#authority';
import { REVOCATION_REASONS } from '#policy';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { obtainedJson, obtainedSchema } from '../schema/receipt.js';
import { instant } from '../schema/values.js';
import { deviceId } from './path-forms.js';

/** No certificate of ours is older. */
const EVER = '2000-01-01T00:00:00Z';
const obtainedQuery = z.strictObject({ since: instant.optional() });
const obtainedRevocation = z
  .strictObject({ since: instant, reason: z.enum(REVOCATION_REASONS).exclude(['certificateHold']) })
  .meta({ id: 'ObtainedRevocation' });

/** What a device that is a registration authority obtained for others. */
@Controller('v1/devices')
export class RaObtainedRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get(':id/obtained')
  @Access('device:read')
  @Answers(
    'Count what a registration authority obtained for others since a time, and what of it is revoked',
    obtainedSchema,
  )
  async obtained(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Query({ schema: obtainedQuery }) { since = EVER }: z.infer<typeof obtainedQuery>,
  ) {
    return obtainedJson(await readObtained(this.a, by, id, new Date(since)));
  }

  @Post(':id/revoke-obtained')
  @Access('device:revoke')
  @Answers('Propose to revoke everything that a registration authority obtained since a time', proposedSchema, 202)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', deviceId) id: string,
    @Body({ schema: obtainedRevocation }) { since, reason }: z.infer<typeof obtainedRevocation>,
  ) {
    return needsApproval(this.a, by, http, (joined) =>
      proposeObtainedRevocation(joined, by, id, { since: new Date(since), reason }),
    );
  }
}
