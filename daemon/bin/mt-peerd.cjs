#!/usr/bin/env node
'use strict';
require('../../codec/bin/run-program.cjs')('mt-peerd', 'dist/daemon/main.js');
