'use strict';
const express = require('express');
const session = require('express-session');

const app = express();
app.use(session({ secret: 'for tests only', resave: false, saveUninitialized: true }));
app.get('/', (request, response) => {
	request.session.views = (request.session.views || 0) + 1;
	response.json({
		pid: process.pid,
		slot: process.env.LIMPET_SLOT ?? null,
		views: request.session.views,
	});
});
app.listen(process.env.PORT || 0, process.env.HOST);
