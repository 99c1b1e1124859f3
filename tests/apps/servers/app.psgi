# PSGI: starman, twiggy
use strict;
use warnings;
use JSON::PP;

sub {
	my $env = shift;
	return [200, ['Content-Type' => 'application/json'],
		[encode_json({pid => $$, slot => $ENV{LIMPET_SLOT}, peer => $env->{REMOTE_ADDR}})]];
};
