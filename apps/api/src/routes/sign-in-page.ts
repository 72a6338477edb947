import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Access } from '../access.js';
import { Http, type Exchange } from '../authority-module.js';
import { SCRIPT } from '../sign-in/page-script.js';
import { PAGE_POLICY, signInPage, STYLE } from '../sign-in/page.js';
import { TheSignIn, type SignIn } from '../sign-in/sign-in.js';

/** Where people begin. Everything on it is what the API does; it knows no more than any other client. */
@ApiExcludeController()
@Controller('sign-in')
export class SignInPageRoutes {
  constructor(@TheSignIn() private readonly signIn: SignIn) {}

  @Get()
  @Access('public')
  page(@Http() { reply }: Exchange) {
    void reply.header('content-type', 'text/html; charset=utf-8').header('content-security-policy', PAGE_POLICY);
    return signInPage(this.signIn.oidc !== undefined);
  }

  @Get('script.js')
  @Access('public')
  script(@Http() { reply }: Exchange) {
    void reply.header('content-type', 'text/javascript; charset=utf-8');
    return SCRIPT;
  }

  @Get('style.css')
  @Access('public')
  style(@Http() { reply }: Exchange) {
    void reply.header('content-type', 'text/css; charset=utf-8');
    return STYLE;
  }
}
