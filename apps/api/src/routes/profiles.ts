import { Body, Controller, Get, Param, Patch } from '@nestjs/common';
import type { z } from 'zod';
import { currentProfiles, proposeProfileChange, type Actor, type AuthorityContext } from '#authority';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { profileChange, profileJson, profilePage } from '../schema/catalogue.js';

/** A short list that never needs a second page, in the form that every list has. Every change needs a second person. */
@Controller('v1/profiles')
export class ProfileRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('profile:read')
  @Answers('List the certificate profiles as they are now', profilePage)
  list() {
    return { items: currentProfiles(this.a).map(profileJson), nextCursor: null };
  }

  @Patch(':name')
  @Access('profile:change')
  @Answers('Propose another validity, or other key types, for what is issued from now on', proposedSchema, 202)
  change(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('name') name: string,
    @Body({ schema: profileChange }) body: z.infer<typeof profileChange>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeProfileChange(joined, by, name, body));
  }
}
