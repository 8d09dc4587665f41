#!/usr/bin/env node
// The command line's door, in old syntax. Before anything else it hides a password that was typed as an argument:
// the process title replaces the whole argument list that `ps` and /proc show.
'use strict';

var TAKES_PASSWORD = ['create_user', 'login'];
if (TAKES_PASSWORD.indexOf(process.argv[2]) !== -1) process.title = 'mt ' + process.argv[2];

require('../../codec/bin/run-program.cjs')('mt', 'dist/cli/main.cjs');
