"""The topics of the synthetic language, as a table.

One entry per topic::

    name | left-right  age  education  income | statement
    + reason for ; reason for ; reason for
    - reason against ; reason against ; reason against

Loadings are in [-1, 1]. A positive left-right loading means that the right agrees more; a positive
age loading that the old agree more. They are inventions of this language, chosen to be varied, and
no finding about any people.
"""

SEEN = """
nuclear power | 0.5 0.0 0.3 0.0 | The country should build more nuclear power plants.
+ it keeps the air clean ; it gives steady power ; it makes us independent
- the waste stays for ages ; it costs too much ; an accident would be terrible
higher taxes on the rich | -0.9 0.0 0.0 -0.3 | Rich people should pay higher taxes.
+ it makes society fairer ; it pays for good schools ; the rich can afford it
- it punishes hard work ; it drives firms away ; the state wastes the money
free health care | -0.8 0.0 0.0 -0.3 | Health care should be free for everybody.
+ everybody deserves a doctor ; it saves lives ; illness should not ruin families
- it costs too much ; people would wait for months ; it takes away choice
gun control | -0.9 0.0 0.3 0.0 | The law should make it harder to buy a gun.
+ it saves lives ; it keeps children safe ; fewer guns mean fewer crimes
- people must defend themselves ; it takes away freedom ; criminals ignore the law
a border wall | 0.9 0.3 0.0 0.0 | The country should build a wall along its border.
+ it keeps order ; it stops smugglers ; a country needs borders
- it costs too much ; it divides people ; it does not work
more immigration | -0.8 0.0 0.3 0.0 | The country should let in more immigrants.
+ we need more workers ; it makes us richer ; people deserve a chance
- it lowers wages ; towns cannot cope ; it strains our schools
school prayer | 0.8 0.3 0.0 0.0 | Schools should begin the day with a prayer.
+ it teaches good values ; it calms the children ; faith holds us together
- faith is a private matter ; it leaves some children out ; schools should teach facts
the death penalty | 0.8 0.0 -0.3 0.0 | Murderers should face the death penalty.
+ it deters crime ; justice demands it ; victims deserve justice
- courts make mistakes ; it is cruel ; it does not deter anybody
legal cannabis | -0.6 -0.5 0.0 0.0 | Adults should be allowed to use cannabis.
+ adults can decide for themselves ; it weakens the gangs ; it brings in taxes
- it harms young people ; it leads to harder drugs ; it makes roads unsafe
a carbon tax | -0.7 0.0 0.4 0.0 | The state should tax carbon emissions.
+ it slows climate change ; polluters should pay ; it rewards clean firms
- it makes heating dear ; it hurts small firms ; other countries do nothing
wind farms | -0.5 -0.3 0.0 0.0 | The region should build more wind farms.
+ it keeps the air clean ; it makes us independent ; it brings local jobs
- it spoils the view ; it harms birds ; the wind does not always blow
a ban on petrol cars | -0.7 -0.3 0.0 0.0 | New petrol cars should be banned soon.
+ it keeps the air clean ; it slows climate change ; electric cars are better
- people cannot afford it ; it hurts car workers ; it takes away choice
free buses | -0.5 0.0 0.0 -0.4 | City buses should be free.
+ it gets people out of cars ; it helps the poor ; it keeps the air clean
- somebody has to pay ; buses would be too full ; it helps only the city
lower speed limits | -0.3 0.4 0.0 0.0 | Speed limits should be lower.
+ it saves lives ; it makes streets quiet ; it saves fuel
- it wastes time ; nobody would obey ; roads are safe enough
a higher minimum wage | -0.8 0.0 0.0 -0.3 | The minimum wage should be raised.
+ work must pay ; it helps the poor ; it makes society fairer
- it destroys jobs ; it hurts small firms ; prices would rise
stronger unions | -0.8 0.0 0.0 -0.2 | Trade unions should have more power.
+ workers need a voice ; it raises wages ; it keeps work safe
- it drives firms away ; strikes hurt everybody ; it protects lazy workers
smaller government | 0.9 0.0 0.0 0.3 | The government should be smaller.
+ the state wastes the money ; people can decide for themselves ; it leaves room for firms
- somebody must help the poor ; it weakens our schools ; markets fail too
more police | 0.6 0.4 0.0 0.0 | The city should hire more police officers.
+ it makes streets safe ; it deters crime ; help comes faster
- it costs too much ; it frightens young people ; schools need the money more
harder sentences | 0.7 0.3 -0.3 0.0 | Courts should give harder sentences.
+ it deters crime ; victims deserve justice ; it keeps criminals away
- prisons are full ; people deserve a chance ; it does not work
a bigger army | 0.8 0.3 0.0 0.0 | The country should spend more on its army.
+ the world is dangerous ; it keeps the peace ; it protects our allies
- schools need the money more ; it leads to war ; it costs too much
foreign aid | -0.6 0.0 0.4 0.0 | The country should give more foreign aid.
+ it saves lives ; it prevents wars ; rich countries have a duty
- the money gets stolen ; we have our own poor ; it does not work
free trade | 0.3 0.0 0.4 0.4 | The country should trade freely with all others.
+ it lowers prices ; it makes us richer ; it prevents wars
- it destroys jobs ; it lowers wages ; we depend on others
a basic income | -0.7 -0.4 0.0 -0.3 | Everybody should get a basic income.
+ it gives people security ; it helps the poor ; it rewards care at home
- nobody would work ; it costs too much ; it is unfair to workers
rent control | -0.7 -0.3 0.0 -0.4 | The city should limit rents.
+ people need homes ; it protects families ; rents eat up wages
- nobody would build homes ; owners would stop repairs ; it does not work
school vouchers | 0.7 0.0 0.0 0.0 | Parents should get vouchers for private schools.
+ parents know best ; schools must compete ; it helps gifted children
- it weakens our schools ; it divides people ; it helps only the rich
free college | -0.7 -0.5 0.0 0.0 | College should be free.
+ it gives poor children a chance ; we need skilled people ; it ends student debt
- somebody has to pay ; it helps only the rich ; degrees would lose worth
school uniforms | 0.4 0.5 0.0 0.0 | Pupils should wear school uniforms.
+ it makes children equal ; it keeps order ; it saves time at home
- it takes away choice ; clothes show who we are ; uniforms are dear
a phone ban in schools | 0.2 0.6 0.0 0.0 | Phones should be banned in schools.
+ children learn better ; it stops bullying ; children talk again
- parents must reach children ; children must learn to use it ; nobody would obey
later school hours | -0.2 -0.6 0.0 0.0 | School should begin later in the day.
+ children need sleep ; children learn better ; it makes mornings calm
- parents must work early ; the day gets too long ; life begins early
longer paid leave | -0.7 -0.3 0.0 0.0 | New parents should get longer paid leave.
+ babies need their parents ; it protects families ; it keeps mothers at work
- it hurts small firms ; somebody has to pay ; it is unfair to others
stem cell research | -0.5 0.0 0.6 0.0 | The state should pay for stem cell research.
+ it saves lives ; science needs money ; it could cure many people
- it goes against nature ; life is sacred ; firms can pay for it
space travel | 0.1 -0.2 0.5 0.0 | The country should spend more on space travel.
+ it inspires young people ; science needs money ; it brings new ideas
- schools need the money more ; it costs too much ; robots can do it
animal testing | 0.4 0.0 0.2 0.0 | Testing medicine on animals should stay legal.
+ it saves lives ; there is no better way ; science needs it
- it is cruel ; animals feel pain ; other tests exist
meat taxes | -0.6 -0.4 0.3 0.0 | Meat should be taxed more.
+ it slows climate change ; animals feel pain ; it makes people healthy
- it hurts farmers ; food is dear enough ; it takes away choice
organic farming | -0.4 0.0 0.3 0.3 | The state should support organic farming.
+ it protects the soil ; it makes people healthy ; it harms fewer animals
- food would cost more ; it needs too much land ; it is only a fashion
gene crops | 0.3 0.0 0.5 0.0 | Farmers should be allowed to grow gene crops.
+ it feeds more people ; it needs fewer poisons ; science says it is safe
- it goes against nature ; it makes farmers depend on firms ; nobody knows the risk
vaccine mandates | -0.7 0.3 0.3 0.0 | Vaccines should be required by law.
+ it saves lives ; it protects the weak ; science says it is safe
- my body is my own ; nobody knows the risk ; it breaks trust
mask rules | -0.7 0.3 0.2 0.0 | Masks should be required when many people are ill.
+ it protects the weak ; it slows the disease ; it costs little
- it takes away freedom ; it does not work ; children need faces
online privacy laws | -0.3 0.0 0.4 0.0 | The law should protect privacy online more.
+ firms know too much ; my data are my own ; it prevents abuse
- it hurts small firms ; it slows new ideas ; honest people need not hide
robot taxes | -0.5 0.0 -0.3 -0.2 | Firms should pay taxes on robots.
+ it saves jobs ; it pays for pensions ; firms must share gains
- it slows new ideas ; robots do hard work ; it drives firms away
artificial judges | 0.1 -0.4 0.2 0.0 | Machines should help judges to decide.
+ machines do not tire ; it makes courts faster ; it treats people alike
- machines make mistakes ; nobody can explain it ; people need a human
self driving cars | 0.0 -0.5 0.4 0.2 | Cars without drivers should be allowed on all roads.
+ it saves lives ; it helps the old ; machines do not tire
- machines make mistakes ; it destroys jobs ; nobody is to blame
cash payments | 0.2 0.7 -0.2 0.0 | Shops should have to accept cash.
+ cash protects privacy ; it helps the old ; it works without power
- cards are faster ; cash helps criminals ; it costs shops money
city cameras | 0.5 0.5 0.0 0.0 | The city should put up more cameras.
+ it makes streets safe ; it helps the police ; it deters crime
- it takes away freedom ; nobody wants to be watched ; it costs too much
a curfew for teenagers | 0.5 0.6 0.0 0.0 | Teenagers should be home before eleven at night.
+ it keeps children safe ; it makes streets quiet ; parents can sleep
- parents know best ; it takes away freedom ; most of them do no harm
voting at sixteen | -0.6 -0.6 0.0 0.0 | People should be allowed to vote at sixteen.
+ young people need a voice ; it is their future ; they know enough
- they know too little ; parents would decide ; they can wait
compulsory voting | -0.3 0.2 0.0 0.0 | Everybody should have to vote.
+ every voice counts ; it makes society fairer ; it is a duty
- it takes away freedom ; some do not care ; it proves nothing
term limits | 0.2 0.2 0.2 0.0 | Politicians should leave after two terms.
+ it brings new ideas ; power corrupts ; it weakens lobbies
- skill takes time ; voters should decide ; it helps lobbies
public television | -0.5 0.4 0.3 0.0 | The state should pay for public television.
+ it gives people facts ; it serves everybody ; culture needs money
- it serves the government ; nobody watches it ; people should pay for what they use
a new stadium | 0.3 -0.3 -0.3 0.2 | The city should build a new stadium.
+ it brings visitors ; it brings local jobs ; sport holds us together
- schools need the money more ; it makes traffic worse ; it helps only the rich
more bike lanes | -0.6 -0.4 0.2 0.0 | The city should build more bike lanes.
+ it keeps the air clean ; it makes people healthy ; it makes streets quiet
- it makes traffic worse ; shops lose customers ; few people would use it
a car free centre | -0.6 -0.3 0.2 0.0 | Cars should be kept out of the city centre.
+ it makes streets quiet ; it keeps the air clean ; people can stroll
- shops lose customers ; the old need cars ; it makes traffic worse
shops open on sundays | 0.3 -0.4 0.0 0.0 | Shops should be allowed to open on Sundays.
+ people can decide for themselves ; it suits busy families ; it brings local jobs
- workers need rest ; families need a day ; it hurts small shops
a tax on sugar | -0.5 0.0 0.4 0.0 | Sweet drinks should be taxed.
+ it makes people healthy ; it protects children ; it pays for doctors
- it takes away choice ; it hurts the poor ; it does not work
a smoking ban | -0.3 0.2 0.4 0.0 | Smoking should be banned in all public places.
+ smoke harms others ; it protects children ; it saves lives
- it takes away freedom ; it hurts bars ; smokers pay enough
church taxes | 0.5 0.5 -0.2 0.0 | The state should support the churches.
+ churches help the poor ; faith holds us together ; it keeps old buildings
- faith is a private matter ; churches are rich ; the state must be neutral
gay adoption | -0.8 -0.5 0.2 0.0 | Gay couples should be allowed to adopt children.
+ children need love ; it makes people equal ; many children wait for parents
- it goes against nature ; tradition matters ; children would be teased
women quotas | -0.8 0.0 0.2 0.0 | Boards should have as many women as men.
+ it makes people equal ; mixed teams decide better ; it breaks old habits
- skill should decide ; it is unfair to men ; firms know best
military service | 0.6 0.6 0.0 -0.2 | Young people should serve in the army for a year.
+ it holds us together ; it teaches order ; the world is dangerous
- it wastes a year ; it takes away freedom ; war is wrong
a later pension age | 0.4 -0.3 0.3 0.4 | People should work longer before they get a pension.
+ we live longer ; pensions must be paid ; firms need skill
- hard work wears people out ; the young need jobs ; people deserve rest
staying home when ill | -0.3 0.3 0.2 0.2 | People who feel ill should stay at home.
+ it slows the disease ; it protects the weak ; it costs little
- bills must be paid ; it breaks daily life ; most people get well soon
working together | -0.4 0.2 0.2 -0.2 | Everybody should put the group first.
+ together we get more ; trust grows with use ; it makes society fairer
- others take advantage ; everybody is alone in the end ; it rewards lazy people
equal shares | -0.7 0.0 0.0 -0.4 | Money should be split in equal shares.
+ it makes society fairer ; it keeps the peace ; luck should not decide
- it punishes hard work ; need differs ; skill should decide
catch limits | -0.5 0.0 0.5 0.0 | There should be strict limits on fishing.
+ it protects the lake ; our children need fish too ; it keeps the peace
- families must eat ; others take advantage ; there is enough fish
hard work | 0.6 0.4 0.0 0.3 | People should work as hard as they can.
+ work makes people proud ; it pays in the end ; it makes us richer
- families need time ; work makes people ill ; money is not everything
"""

UNSEEN = """
a dam on the river | 0.3 0.0 0.0 0.3 | The region should build a dam on the river.
+ it gives steady power ; it brings local jobs ; it makes us independent
- it harms birds ; it spoils the view ; it costs too much
free museums | -0.4 0.2 0.5 0.0 | Museums should be free.
+ culture needs money ; it gives poor children a chance ; it serves everybody
- somebody has to pay ; it helps only the rich ; few people would use it
fireworks | 0.3 -0.6 -0.2 0.0 | Private fireworks should be allowed.
+ people can decide for themselves ; tradition matters ; it brings visitors
- it harms birds ; it makes streets unsafe ; smoke harms others
a four day week | -0.6 -0.4 0.0 0.0 | The working week should have four days.
+ families need time ; workers need rest ; it makes people healthy
- it hurts small firms ; it wastes time ; somebody has to pay
plastic bags | 0.5 0.3 -0.4 0.0 | Shops should be allowed to give out plastic bags.
+ it costs little ; people can decide for themselves ; it suits busy families
- it harms birds ; it spoils the view ; other bags exist
home schooling | 0.7 0.0 -0.3 0.0 | Parents should be allowed to teach their children at home.
+ parents know best ; it keeps children safe ; faith is a private matter
- children need friends ; schools should teach facts ; it leaves some children out
rail privatisation | 0.7 0.0 0.0 0.4 | The railways should belong to private firms.
+ the state wastes the money ; firms know best ; it makes trains faster
- it divides people ; prices would rise ; it helps only the rich
a night market | 0.0 -0.5 0.0 -0.2 | The town should open a night market.
+ it brings visitors ; it brings local jobs ; it suits busy families
- it makes traffic worse ; families need sleep ; it hurts small shops
"""
