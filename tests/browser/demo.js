'use strict';
// Drives Chromium over the demo page: TASK URL PROFILE SCREENSHOTS. Prints a line of JSON.
const path = require('path');
const { createRequire } = require('module');
const { chromium } = createRequire(path.join(__dirname, '..', 'apps', 'package.json'))('playwright-core');

const [task, url, profile, screenshots] = process.argv.slice(2);

async function look(page) {
	await page.waitForFunction(() => document.getElementById('socket-state').dataset.slot !== undefined);
	return page.evaluate(() => ({
		slot: document.getElementById('slot-name').textContent,
		pid: document.getElementById('pid').textContent,
		socketSlot: document.getElementById('socket-state').dataset.slot,
	}));
}

async function say(page, text) {
	await page.fill('#text', text);
	await page.click('#say button');
	const line = page.locator('#log li', { hasText: text }).first();
	await line.waitFor();
	return line.textContent();
}

const click = (page, button) => Promise.all([page.waitForEvent('load'), page.click(button)]);

const tasks = {
	async reload(page) {
		await page.goto(url);
		await click(page, '#another');
		const visits = [];
		for (let i = 0; i <= 20; i++) {
			visits.push({ ...await look(page), echo: await say(page, i + ' over the WebSocket') });
			if (i < 20)
				await click(page, '#reload');
		}
		await page.screenshot({ path: path.join(screenshots, 'demo-light.png'), fullPage: true });
		await page.emulateMedia({ colorScheme: 'dark' });
		await page.screenshot({ path: path.join(screenshots, 'demo-dark.png'), fullPage: true });
		return { visits, listed: await page.locator('#visits li').count(), key: await page.textContent('#key') };
	},
	// Until all four slots were seen: 40 visitors miss one with a probability of 0.00004.
	async another(page) {
		await page.goto(url);
		const visits = [];
		const slots = new Set();
		while (visits.length < 40 && slots.size < 4) {
			await click(page, '#another');
			visits.push(await look(page));
			slots.add(visits.at(-1).slot);
		}
		await page.screenshot({ path: path.join(screenshots, 'demo-visitors.png'), fullPage: true });
		return { visits };
	},
	async small(page) {
		await page.setViewportSize({ width: 320, height: 640 });
		await page.goto(url);
		await look(page);
		await page.screenshot({ path: path.join(screenshots, 'demo-small.png'), fullPage: true });
		return page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, width: innerWidth }));
	},
};

(async () => {
	const context = await chromium.launchPersistentContext(profile, {
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		headless: true,
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
			'--disable-component-update', '--disable-sync'],
	});
	const errors = [];
	try {
		const page = context.pages()[0] || await context.newPage();
		page.on('pageerror', error => errors.push(String(error)));
		page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
		page.setDefaultTimeout(20000);
		console.log(JSON.stringify({ ...await tasks[task](page), errors }));
	} finally {
		await context.close();
	}
})().catch(error => {
	console.error(error);
	process.exit(1);
});
