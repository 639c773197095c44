module pullcred.dev/load

go 1.26
