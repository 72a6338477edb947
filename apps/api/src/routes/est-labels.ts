import { Body, Controller, Delete, Get, Param, Put } from '@nestjs/common';
import type { z } from 'zod';
import {
  currentLabel,
  currentLabels,
  proposeLabelChange,
  proposeLabelWithdrawal,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { estLabelChange, estLabelJson, estLabelPage, estLabelSchema } from '../schema/est-labels.js';
import { found } from './path-forms.js';

/** A short list that never needs a second page, in the form that every list has. Every change needs a second person. */
@Controller('v1/est-labels')
export class EstLabelRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('label:read')
  @Answers('List the EST labels as they are now', estLabelPage)
  list() {
    return { items: currentLabels(this.a).map(estLabelJson), nextCursor: null };
  }

  @Get(':name')
  @Access('label:read')
  @Answers('Get an EST label', estLabelSchema)
  get(@Param('name') name: string) {
    return estLabelJson(found(currentLabel(this.a, name), 'label'));
  }

  @Put(':name')
  @Access('label:change')
  @Answers('Propose an EST label, or what it offers from then on', proposedSchema, 202)
  change(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('name') name: string,
    @Body({ schema: estLabelChange }) body: z.infer<typeof estLabelChange>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeLabelChange(joined, by, name, body));
  }

  @Delete(':name')
  @Access('label:change')
  @Answers('Propose that an EST label is withdrawn', proposedSchema, 202)
  withdraw(@By() by: Actor, @Http() http: Exchange, @Param('name') name: string) {
    return needsApproval(this.a, by, http, (joined) => proposeLabelWithdrawal(joined, by, name));
  }
}
