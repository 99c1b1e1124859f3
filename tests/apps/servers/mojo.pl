# perl mojo.pl prefork|daemon -l http://ADDRESS
use Mojolicious::Lite -signatures;

sub who ($c) {
	return {pid => $$, slot => $ENV{LIMPET_SLOT}, peer => $c->tx->remote_address};
}

get '/' => sub ($c) { $c->render(json => who($c)) };
websocket '/ws' => sub ($c) {
	$c->on(message => sub ($c, $text) { $c->send({json => who($c)}) });
};
app->log->level('warn');
app->start;
